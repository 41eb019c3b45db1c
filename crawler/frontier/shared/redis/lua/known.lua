-- needs: keys sets
-- Which of these keys are known: 1 or 0 for each. ARGV[1], packed: keys, and their marks.

local keys, marks = unpack(cmsgpack.unpack(ARGV[1]))
local books = call('HMGET', BOOKS, 'known', 'known_buckets')
local known = open_set('k', books[1], books[2])
local answers = {}
for i, key in ipairs(keys) do
    answers[i] = has(known, key, marks[i]) and 1 or 0
end
return answers
