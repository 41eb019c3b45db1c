-- needs: keys queue leases
-- The books of a shard, in the order of `Counts`.

local books = call('HMGET', BOOKS, 'arrived', 'ok', 'failed', 'skipped', 'moved', 'queued', 'leased', 'known', 'pages')
for i = 1, 9 do
    books[i] = tonumber(books[i] or 0)
end
local arrived, ok, failed, skipped, moved, queued_now, leased, known, pages = unpack(books)
local holders = call('HKEYS', HELD)
local hosts = call('ZCARD', READY)
for _, host in ipairs(holders) do
    if queued(host) > 0 or call('EXISTS', LEASED .. host) == 1 then
        hosts = hosts + 1
    end
end
for _, host in ipairs(call('SMEMBERS', LOW)) do -- whose queue is in files alone
    if call('EXISTS', QUEUE .. host) == 0 and not held(host) then
        hosts = hosts + 1
    end
end
return {arrived, ok, failed, skipped, moved, queued_now, leased, call('HLEN', shard .. ':moves'), known, hosts,
    #holders, pages}
