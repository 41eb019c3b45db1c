-- What people are shown of a host.

-- In the order of `HostBooks`.
local function host_books(host, time)
    local lease = held(host)
    local _, at, state = about(host)
    at = tonumber(call('ZSCORE', READY, host) or at)
    local files = 0
    for _, number in ipairs(call('LRANGE', ORDER .. host, 0, -1)) do
        local found = piece(number)
        if found[4] ~= '' then
            files = files + found[2]
        end
    end
    local expires = lease and call('ZSCORE', LEASES, host) - time or 0
    return {host, queued(host), call('HLEN', LEASED .. host), files, lease and lease[2] or '',
        tostring(expires), tostring(math.max(0, at - time)), state}
end
