-- Sets of 8-byte numbers that grow without an end, at 9 bytes each: many small sets, which Redis keeps as sorted arrays
-- of integers, and one more of them for each FILL numbers. That is linear hashing (Litwin 1980): the buckets are split in
-- turn, so at any time some have up to twice FILL, which has to be below Redis' set-max-intset-entries.
-- A number is in the bucket that its last nine digits say, its `mark`: a Lua number cannot hold all 64 bits.

local FILL = 200

-- A set by the letter of its keys, how many it has and in how many buckets.
local function open_set(letter, size, buckets)
    buckets = tonumber(buckets or 1)
    local low = 1
    while low * 2 <= buckets do
        low = low * 2
    end
    return {
        prefix = shard .. ':' .. letter .. ':',
        size = tonumber(size or 0),
        buckets = buckets,
        low = low, -- the power of two up to `buckets`
        split = buckets - low, -- so many of the first `low` are split
    }
end

local function bucket(set, mark)
    local number = mark % set.low
    if number < set.split then
        number = mark % (set.low * 2)
    end
    return set.prefix .. number
end

-- Whether the number was not there.
local function add(set, number, mark)
    local added = call('SADD', bucket(set, mark), number)
    set.size = set.size + added
    return added == 1
end

local function has(set, number, mark)
    return call('SISMEMBER', bucket(set, mark), number) == 1
end

-- Split buckets until there are enough of them.
local function grow(set)
    while set.size > FILL * set.buckets do
        local old, new = set.prefix .. set.split, set.prefix .. set.buckets
        local stay, go = {}, {}
        for _, number in ipairs(call('SMEMBERS', old)) do
            local mark = math.abs(tonumber(string.sub(number, -9)))
            local to = mark % (set.low * 2) == set.split and stay or go
            to[#to + 1] = number
        end
        call('DEL', old) -- both anew: what was once no array of integers becomes one again
        each('SADD', old, stay)
        each('SADD', new, go)
        set.buckets = set.buckets + 1
        set.split = set.split + 1
        if set.split == set.low then
            set.low, set.split = set.low * 2, 0
        end
    end
end
