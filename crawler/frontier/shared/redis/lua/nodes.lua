-- needs: crawl
-- All nodes: name, what it said of itself, how many seconds are left of it.

local time = now()
local answers = {}
local nodes = call('ZRANGE', UNTIL, 0, -1, 'WITHSCORES')
for i = 1, #nodes, 2 do
    answers[#answers + 1] = {nodes[i], call('HGET', NODES, nodes[i]), tostring(nodes[i + 1] - time)}
end
return answers
