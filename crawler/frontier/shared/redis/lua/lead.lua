-- needs: keys sets
-- A redirect leads to the URL of this key: known from now on. 0 if it was known by another way than by this uid.
-- ARGV[1], packed: key and mark, uid and mark.

local key, mark, uid, uid_mark = unpack(cmsgpack.unpack(ARGV[1]))
local books = call('HMGET', BOOKS, 'known', 'known_buckets', 'uids', 'uids_buckets')
local known = open_set('k', books[1], books[2])
local said = open_set('u', books[3], books[4])
if not add(known, key, mark) then
    return has(said, uid, uid_mark) and 1 or 0
end
add(said, uid, uid_mark)
grow(known)
grow(said)
call('HSET', BOOKS, 'known', known.size, 'known_buckets', known.buckets, 'uids', said.size, 'uids_buckets', said.buckets)
return 1
