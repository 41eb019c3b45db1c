-- The queue of a host, first in, first out: its head, then pieces, then its tail.
-- Most hosts have a head alone. Once that is longer than HEAD, what comes goes to the tail, and a tail of PIECE becomes a
-- piece, which somebody may write to a file. `beyond` has such hosts, and how many URLs of theirs are behind the head.
-- Where the head is empty and something is beyond it, the first piece is a file.
-- An entry is 6 bytes, twice its id and one more for a duplicate, and then its data.

local QUEUE = shard .. ':q:' -- .. host, a list: its head
local TAIL = shard .. ':t:' -- .. host, a list: its tail
local ORDER = shard .. ':f:' -- .. host, a list: the numbers of its pieces, the first first
local PIECE_OF = shard .. ':s:' -- .. number, a list: a piece that is in no file
local PIECES = shard .. ':pieces' -- hash: number -> host, how many URLs, how often it was given out, file or ''
local SPILLS = shard .. ':spills' -- sorted set: pieces that are in no file, by when they may be given out
local BEYOND = shard .. ':beyond' -- hash: host -> how many are behind its head
local LOW = shard .. ':low' -- set: hosts whose head runs out while their first piece is a file

local function entry(id, duplicate, data)
    return struct.pack('>I6', id * 2 + duplicate) .. data
end

local function id_of(raw)
    return math.floor(struct.unpack('>I6', raw) / 2)
end

local function queued(host)
    return call('LLEN', QUEUE .. host) + (call('HGET', BEYOND, host) or 0)
end

local function piece(number)
    local packed = call('HGET', PIECES, number)
    if packed then
        return cmsgpack.unpack(packed)
    end
end

local function last_of(values, many)
    local last = {}
    for i = #values - many + 1, #values do
        last[#last + 1] = values[i]
    end
    return last
end

-- Queue entries as the last. Whether the host had none before.
local function queue_last(host, entries)
    local was_empty = false
    if call('HEXISTS', BEYOND, host) == 0 then
        local length = each('RPUSH', QUEUE .. host, entries)
        was_empty = length == #entries
        if length <= HEAD then
            return was_empty
        end
        local over = math.min(length - HEAD, #entries) -- no more: what was given back may have made the head longer
        call('LTRIM', QUEUE .. host, 0, length - over - 1)
        entries = last_of(entries, over)
    end
    local length = each('RPUSH', TAIL .. host, entries)
    call('HINCRBY', BEYOND, host, #entries)
    if length >= PIECE then
        local number = call('HINCRBY', BOOKS, 'pieces', 1)
        call('RENAME', TAIL .. host, PIECE_OF .. number)
        call('RPUSH', ORDER .. host, number)
        call('HSET', PIECES, number, cmsgpack.pack({host, length, 0, ''}))
        call('ZADD', SPILLS, 0, number)
    end
    return was_empty
end

-- Queue entries as the first, in the order of their ids.
local function queue_first(host, entries)
    local ids, by_id = {}, {}
    for i, raw in ipairs(entries) do
        ids[i] = id_of(raw)
        by_id[ids[i]] = raw
    end
    table.sort(ids, function(one, other) return one > other end)
    local backwards = {}
    for i, id in ipairs(ids) do
        backwards[i] = by_id[id]
    end
    each('LPUSH', QUEUE .. host, backwards)
end

-- Fill an empty head with what follows it. False if nothing does, or if it is in a file.
local function refill(host)
    if call('HEXISTS', BEYOND, host) == 0 then
        return false
    end
    local number = call('LINDEX', ORDER .. host, 0)
    if not number then
        call('HDEL', BEYOND, host)
        if call('EXISTS', TAIL .. host) == 0 then
            return false
        end
        call('RENAME', TAIL .. host, QUEUE .. host)
        return true
    end
    local first = piece(number)
    if first[4] ~= '' then
        call('SADD', LOW, host)
        return false
    end
    call('RENAME', PIECE_OF .. number, QUEUE .. host)
    call('LPOP', ORDER .. host)
    call('HDEL', PIECES, number)
    call('ZREM', SPILLS, number)
    call('HINCRBY', BEYOND, host, -first[2])
    return true
end

-- Ask for the file that is first behind a head that runs out.
local function look_ahead(host)
    if call('HEXISTS', BEYOND, host) == 1 and call('LLEN', QUEUE .. host) * 2 < HEAD then
        local number = call('LINDEX', ORDER .. host, 0)
        if number and piece(number)[4] ~= '' then
            call('SADD', LOW, host)
        end
    end
end

-- Take up to so many entries from the head, and lease them. Of `books` queued and leased change.
local function take(host, most)
    local taken = {}
    while #taken < most do
        for _, raw in ipairs(call('LPOP', QUEUE .. host, most - #taken) or {}) do
            taken[#taken + 1] = raw
        end
        if call('EXISTS', QUEUE .. host) == 0 and not refill(host) then
            break
        end
    end
    look_ahead(host)
    local fields = {}
    for i, raw in ipairs(taken) do
        fields[2 * i - 1], fields[2 * i] = id_of(raw), raw
    end
    each('HSET', LEASED .. host, fields)
    return taken
end
