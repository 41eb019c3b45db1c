-- Who holds a host, and what is kept of a host that nobody holds.

local function held(host)
    local packed = call('HGET', HELD, host)
    if packed then
        return cmsgpack.unpack(packed) -- token, node
    end
end

-- What is known of a host: how far starts are from one another, when it may be asked, its state.
local function about(host)
    local packed = call('HGET', HOSTS, host)
    if not packed then
        return 0, 0, ''
    end
    local delay, at = struct.unpack('>fd', packed)
    return delay, at, string.sub(packed, 13)
end

local function keep(host, delay, at, state)
    call('HSET', HOSTS, host, struct.pack('>fd', delay, at) .. state)
end

-- Hosts with something in the head of their queue may be claimed from that time on, where nobody holds them.
local function offer(host, at)
    if call('EXISTS', QUEUE .. host) == 1 then
        call('ZADD', READY, at, host)
    end
end

-- End a lease: what is left of it is queued again, first, and the host may be asked from that time on. How many are left.
local function release(host, at)
    local left = call('HVALS', LEASED .. host)
    if #left > 0 then
        queue_first(host, left)
        call('DEL', LEASED .. host)
    end
    call('ZREM', LEASES, host)
    call('HDEL', HELD, host)
    offer(host, at)
    return #left
end
