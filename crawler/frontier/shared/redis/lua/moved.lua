-- needs: keys
-- These have arrived at their other host. ARGV[1], packed: their ids.

local MOVES, MOVING = shard .. ':moves', shard .. ':moving'
even_when_full()
local arrived = 0
for _, id in ipairs(cmsgpack.unpack(ARGV[1])) do
    arrived = arrived + call('HDEL', MOVES, id)
end
if arrived > 0 then
    call('HINCRBY', BOOKS, 'moved', arrived)
end
-- The list loses those at its front: they come there in the order in which they are listed, if not exactly.
local first = call('LINDEX', MOVING, 0)
while first and call('HEXISTS', MOVES, first) == 0 do
    call('LPOP', MOVING)
    first = call('LINDEX', MOVING, 0)
end
