-- needs: crawl
-- Be a node for so many seconds more. ARGV: its name, what it says of itself, the seconds, by what its crawl is known.
-- How many there are, and 1 if it was counted as gone until now; nothing if that crawl is not there.

if ARGV[4] ~= '' and call('HGET', ABOUT, 'own') ~= ARGV[4] then
    return false
end
local time = now()
call('HSET', NODES, ARGV[1], ARGV[2])
call('ZADD', UNTIL, time + ARGV[3], ARGV[1])
return {call('ZCOUNT', UNTIL, '(' .. time, '+inf'), call('SREM', CLOSED, ARGV[1])}
