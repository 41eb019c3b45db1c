-- needs: keys queue leases
-- Take back the leases that have run out, then lease hosts that may be asked now.
-- ARGV[1], packed: node, how many hosts, how many URLs of each, for how many seconds, a token that nobody ever had: each
-- host gets one that begins so. For each host: its name, token, state, how many more are queued, its entries.

local node, hosts, urls, ttl, token = unpack(cmsgpack.unpack(ARGV[1]))
local AT_ONCE = 64 -- leases that are taken back by one call: what takes long holds all others up

even_when_full()
local time = now()
local queued_more = 0

local expired = call('ZRANGEBYSCORE', LEASES, '-inf', time, 'WITHSCORES', 'LIMIT', 0, AT_ONCE)
for i = 1, #expired, 2 do
    local host = expired[i]
    local delay = about(host)
    queued_more = queued_more + release(host, expired[i + 1] + delay)
end

local answers = {}
if call('SISMEMBER', shard .. ':gone', node) == 0 then
    for i, host in ipairs(call('ZRANGEBYSCORE', READY, '-inf', time, 'LIMIT', 0, hosts)) do
        local entries = take(host, urls)
        queued_more = queued_more - #entries
        local own = token .. '.' .. i
        call('ZREM', READY, host)
        call('ZADD', LEASES, time + ttl, host)
        call('HSET', HELD, host, cmsgpack.pack({own, node}))
        local _, _, state = about(host)
        answers[i] = {host, own, state, queued(host), frames(entries)}
    end
end

if queued_more ~= 0 then
    call('HINCRBY', BOOKS, 'queued', queued_more)
    call('HINCRBY', BOOKS, 'leased', -queued_more)
end
return answers
