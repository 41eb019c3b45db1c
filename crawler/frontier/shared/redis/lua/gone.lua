-- needs: keys queue leases
-- Count a node as gone: its leases end, it gets none until it is `back`, and how many pages it began is final.
-- ARGV[1]: its name.

local node = ARGV[1]
even_when_full()
call('SADD', shard .. ':gone', node)
local returned = 0
for _, host in ipairs(call('HKEYS', HELD)) do
    if held(host)[2] == node then
        local delay = about(host)
        returned = returned + release(host, now() + delay)
    end
end
if returned > 0 then
    call('HINCRBY', BOOKS, 'queued', returned)
    call('HINCRBY', BOOKS, 'leased', -returned)
end
return tonumber(call('HGET', shard .. ':pages', node) or 0)
