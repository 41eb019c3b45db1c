-- needs: crawl
-- All inputs before a number have arrived. ARGV: the node, the number, 1 if there are no more.
-- 0 if somebody else reads them now.

local reader, following = unpack(call('HMGET', SEEDS, 'reader', 'following'))
if reader ~= ARGV[1] then
    return 0
end
call('HSET', SEEDS, 'following', math.max(tonumber(following or 0), ARGV[2]))
if ARGV[3] == '1' then
    call('HSET', SEEDS, 'exhausted', 1)
end
return 1
