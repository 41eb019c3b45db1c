-- needs: keys queue leases
-- Hold hosts for so many seconds from now: 1 or 0 for each, 0 where it is another's, or nobody's.
-- A lease that has run out and that nobody took back is held on: no other has asked that host.
-- ARGV[1], packed: seconds, hosts, their tokens.

local ttl, hosts, tokens = unpack(cmsgpack.unpack(ARGV[1]))
even_when_full()
local till = now() + ttl
local answers = {}
for i, host in ipairs(hosts) do
    local lease = held(host)
    answers[i] = 0
    if lease and lease[1] == tokens[i] then
        call('ZADD', LEASES, till, host)
        answers[i] = 1
    end
end
return answers
