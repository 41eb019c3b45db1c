-- needs: keys
-- What is on its way to another host, the oldest first. ARGV[1]: up to how many. Each as its id, and what goes.

local MOVES, MOVING = shard .. ':moves', shard .. ':moving'
local most = tonumber(ARGV[1])
local answers = {}
local first = 0
while #answers < most do
    local ids = call('LRANGE', MOVING, first, first + 99)
    if #ids == 0 then
        break
    end
    for i, move in ipairs(call('HMGET', MOVES, unpack(ids))) do
        if move and #answers < most then
            answers[#answers + 1] = {tonumber(ids[i]), move}
        end
    end
    first = first + 100
end
return answers
