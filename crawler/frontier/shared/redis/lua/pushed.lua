-- needs: crawl
-- Lines that others pushed, those first that a node was given which did not bring them home. ARGV: how many, seconds, in
-- which nobody else gets them. Each as its number and the line.

local most, time = tonumber(ARGV[1]), now()
local till = time + ARGV[2]
local answers = {}
for i, number in ipairs(call('ZRANGEBYSCORE', PUSHED_UNTIL, '-inf', time, 'LIMIT', 0, most)) do
    answers[i] = {tonumber(number), call('HGET', PUSHED, number)}
end
while #answers < most do
    local line = call('LPOP', PUSH)
    if not line then
        break
    end
    local number = call('HINCRBY', ABOUT, 'pushed', 1)
    call('HSET', PUSHED, number, line)
    answers[#answers + 1] = {number, line}
end
for _, answer in ipairs(answers) do
    call('ZADD', PUSHED_UNTIL, till, answer[1])
end
return answers
