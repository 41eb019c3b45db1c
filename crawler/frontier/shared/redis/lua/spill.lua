-- needs: keys queue
-- A piece that is to go to a file: its host, a number of this very spill, its entries. Nothing if there is none.
-- ARGV[1]: seconds, in which nobody else gets it.

even_when_full()
local time = now()
local number = call('ZRANGEBYSCORE', SPILLS, '-inf', time, 'LIMIT', 0, 1)[1]
if not number then
    return false
end
local found = piece(number)
found[3] = found[3] + 1
call('HSET', PIECES, number, cmsgpack.pack(found))
call('ZADD', SPILLS, time + tonumber(ARGV[1]), number)
return {found[1], number * 65536 + found[3], frames(call('LRANGE', PIECE_OF .. number, 0, -1))}
