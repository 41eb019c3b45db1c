-- The keys of a shard, which all begin with KEYS[1], as {crawl:ID:SHARD}: so they are in one slot of a cluster.
-- HEAD and PIECE stand before this: how long a queue's head gets, and how long a piece of it that goes to a file.

local call = redis.call
local shard = KEYS[1]

local BOOKS = shard .. ':books' -- hash: what counts() gives, how large the sets are, the next ids
local HOSTS = shard .. ':hosts' -- hash: host -> its delay and when it may be asked (12 bytes), then its state
local READY = shard .. ':ready' -- sorted set: hosts with a queue that nobody holds, by when they may be asked
local LEASES = shard .. ':leases' -- sorted set: hosts that somebody holds, by when that ends
local HELD = shard .. ':held' -- hash: such a host -> token and node
local LEASED = shard .. ':l:' -- .. host, a hash: id -> entry, as it was in the queue

local function now()
    local time = call('TIME')
    return time[1] + time[2] / 1000000
end

-- Call a command with any number of values: Lua's stack takes some thousands.
local function each(command, key, values)
    local answer = 0
    for first = 1, #values, 1000 do
        answer = call(command, key, unpack(values, first, math.min(first + 999, #values)))
    end
    return answer
end

-- Call nothing that needs memory before this, and all that follows is done whole even where none is left:
-- Redis asks for memory at the first write of a script alone, and this one needs none. For what lets a crawl end.
local function even_when_full()
    call('DEL', shard .. ':none')
end

-- One string of many: each with its length before it, in 4 bytes.
local function frames(values)
    local out = {}
    for _, value in ipairs(values) do
        out[#out + 1] = struct.pack('>I4', #value)
        out[#out + 1] = value
    end
    return table.concat(out)
end
