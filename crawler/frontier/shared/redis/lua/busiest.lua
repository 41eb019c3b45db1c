-- needs: keys queue leases looking
-- Hosts with something to do, those with most first: of some of those with a long queue, and of some others.
-- ARGV[1]: up to how many.

local LOOK_AT = 100 -- of each kind: people look often, and at all shards
local seen, hosts, work = {}, {}, {}
local function look_at(found)
    for _, host in ipairs(found) do
        local todo = not seen[host] and queued(host) + call('HLEN', LEASED .. host) or 0
        seen[host] = true
        if todo > 0 then
            hosts[#hosts + 1] = host
            work[host] = todo
        end
    end
end
look_at(call('HRANDFIELD', BEYOND, LOOK_AT))
look_at(call('ZRANGE', LEASES, 0, LOOK_AT - 1))
look_at(call('ZRANGE', READY, 0, LOOK_AT - 1))
table.sort(hosts, function(one, other)
    return work[one] > work[other] or (work[one] == work[other] and one < other)
end)
local answers = {}
local time = now()
for i = 1, math.min(#hosts, tonumber(ARGV[1])) do
    answers[i] = host_books(hosts[i], time)
end
return answers
