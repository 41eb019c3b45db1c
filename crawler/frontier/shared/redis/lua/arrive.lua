-- needs: keys sets queue leases
-- Take in URLs: those whose key or uid is known are dropped, the others are queued. How many were new.
-- ARGV[1], packed: hosts, and then for each URL the place of its host in these, its key and the mark of that ('' and 0
-- where it has none), how long its data is, its uid and the mark of that (or nothing, where no URL has one).
-- ARGV[2]: the data of all.

local hosts, places, keys, marks, lengths, uids, uid_marks = unpack(cmsgpack.unpack(ARGV[1]))
local data = ARGV[2]

local books = call('HMGET', BOOKS, 'arrived', 'queued', 'known', 'known_buckets', 'uids', 'uids_buckets')
local known = open_set('k', books[3], books[4])
local said = open_set('u', books[5], books[6])

local new = 0
local ids = false
local entries = {} -- of each host
local position = 1
for i, place in ipairs(places) do
    local next_position = position + lengths[i]
    local key, uid = keys[i], uids[i]
    local fresh, duplicate = true, 0
    if uid and uid ~= '' then
        fresh = add(said, uid, uid_marks[i])
    end
    if fresh and key ~= '' and not add(known, key, marks[i]) then
        fresh, duplicate = uid and uid ~= '', 1
    end
    if fresh then
        ids = ids or call('HINCRBY', BOOKS, 'ids', #places) - #places
        new = new + 1
        local of_host = entries[place]
        if not of_host then
            of_host = {}
            entries[place] = of_host
        end
        of_host[#of_host + 1] = entry(ids + i, duplicate, string.sub(data, position, next_position - 1))
    end
    position = next_position
end

for place, of_host in pairs(entries) do
    local host = hosts[place]
    if queue_last(host, of_host) and not held(host) then
        local _, at = about(host)
        call('ZADD', READY, math.max(at, now()), host)
    end
end

if new > 0 then
    grow(known)
    grow(said)
    call('HSET', BOOKS, 'arrived', (books[1] or 0) + new, 'queued', (books[2] or 0) + new,
        'known', known.size, 'known_buckets', known.buckets, 'uids', said.size, 'uids_buckets', said.buckets)
end
return new
