-- needs: keys queue leases
-- End URLs, all or nothing, and say how long the part of the records is now.
-- ARGV[1], packed: part, number, before, size, node, turns; a turn is what `packing.py` says. ARGV[2]: the data of all.
-- {'forgotten'}; or {'lost', host ...}; or {'done', host, entries, host, entries ...}: what was wanted.

local part, number, before, size, node, turns = unpack(cmsgpack.unpack(ARGV[1]))
local data = ARGV[2]
local PARTS = shard .. ':parts' -- hash: part -> the number of its last commit, its size
local ANSWERS = shard .. ':answers' -- hash: part -> which ids its last commit was given
local MOVES = shard .. ':moves' -- hash: id -> what goes to another host
local MOVING = shard .. ':moving' -- list: these ids, the oldest first; those that have arrived may still stand here

-- Is it the next one, or the last once more?

local last = call('HGET', PARTS, part)
local last_number, last_size = 0, 0
if last then
    last_number, last_size = unpack(cmsgpack.unpack(last))
end
if number == last_number and size == last_size then
    local given = call('HGET', ANSWERS, part)
    local answer = {'done'}
    for _, host_and_ids in ipairs(given and cmsgpack.unpack(given) or {}) do
        local host, token, ids = unpack(host_and_ids)
        local lease = held(host)
        if lease and lease[1] == token then
            local entries = {}
            for i, id in ipairs(ids) do
                entries[i] = call('HGET', LEASED .. host, id)
            end
            answer[#answer + 1] = host
            answer[#answer + 1] = frames(entries)
        end
    end
    return answer
end
if number ~= last_number + 1 or before ~= last_size then
    return {'forgotten'}
end

-- Does the node hold them all?

local lost = {'lost'}
local gone = node ~= '' and call('SISMEMBER', shard .. ':gone', node) == 1
for _, turn in ipairs(turns) do
    local lease = held(turn[1])
    if gone or not lease or lease[1] ~= turn[2] then
        lost[#lost + 1] = turn[1]
    end
end
if #lost > 1 then
    return lost
end

-- Then it is done.

even_when_full()
local position = 1
local function cut(length)
    local from = position
    position = position + length
    return string.sub(data, from, position - 1)
end

local changes = {ok = 0, failed = 0, skipped = 0, moved = 0, queued = 0, leased = 0, pages = 0}
local function change(name, by)
    changes[name] = changes[name] + by
end

local time = now()
local answer = {'done'}
local given = {}
for _, turn in ipairs(turns) do
    local host, token, ok, failed, skipped, moved, moves, move_lengths, again, again_lengths, back, back_lengths,
        pages, is_released, wait, state_length, delay, wants = unpack(turn)
    local leased = LEASED .. host
    for name, ids in pairs({ok = ok, failed = failed, skipped = skipped, moved = moved}) do
        local ended = 0
        for first = 1, #ids, 1000 do
            ended = ended + call('HDEL', leased, unpack(ids, first, math.min(first + 999, #ids)))
        end
        change(name, ended)
        change('leased', -ended)
    end
    for i, id in ipairs(moves) do
        local move = cut(move_lengths[i])
        if call('HDEL', leased, id) == 1 then
            change('leased', -1)
            call('HSET', MOVES, id, move)
            call('RPUSH', MOVING, id)
        end
    end
    for i, id in ipairs(again) do
        local raw = cut(again_lengths[i])
        if call('HEXISTS', leased, id) == 1 then
            call('HSET', leased, id, raw)
        end
    end
    local returned = {}
    for i, id in ipairs(back) do
        local raw = cut(back_lengths[i])
        if call('HEXISTS', leased, id) == 1 then
            if is_released then
                call('HSET', leased, id, raw)
            else
                call('HDEL', leased, id)
                returned[#returned + 1] = raw
            end
        end
    end
    if #returned > 0 then
        queue_first(host, returned)
        change('queued', #returned)
        change('leased', -#returned)
    end
    change('pages', pages)

    local old_delay, at, state = about(host)
    if is_released then
        at = time + wait
    end
    if state_length >= 0 then
        state = cut(state_length)
    end
    if delay < 0 then
        delay = old_delay
    end
    if state ~= '' or delay > 0 or (is_released and wait > 0) then
        if is_released or state_length >= 0 or delay ~= old_delay then
            keep(host, delay, at, state)
        end
    else
        call('HDEL', HOSTS, host)
    end

    if is_released then
        local left = release(host, at)
        change('queued', left)
        change('leased', -left)
    elseif wants > 0 then
        local entries = take(host, wants)
        change('queued', -#entries)
        change('leased', #entries)
        local ids = {}
        for i, raw in ipairs(entries) do
            ids[i] = id_of(raw)
        end
        answer[#answer + 1] = host
        answer[#answer + 1] = frames(entries)
        given[#given + 1] = {host, token, ids}
    end
end

for name, by in pairs(changes) do
    if by ~= 0 then
        call('HINCRBY', BOOKS, name, by)
    end
end
if changes.pages ~= 0 then
    call('HINCRBY', shard .. ':pages', node, changes.pages)
end
call('HSET', PARTS, part, cmsgpack.pack({number, size}))
if #given > 0 then
    call('HSET', ANSWERS, part, cmsgpack.pack(given))
else
    call('HDEL', ANSWERS, part)
end
return answer
