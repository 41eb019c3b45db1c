-- Whether sets of integers stay small: what Redis makes of one as long as a bucket gets. KEYS[1]: a key for this.

local numbers = {}
for i = 1, 512 do
    numbers[i] = i
end
redis.call('DEL', KEYS[1])
redis.call('SADD', KEYS[1], unpack(numbers))
local encoding = redis.call('OBJECT', 'ENCODING', KEYS[1])
redis.call('DEL', KEYS[1])
return encoding
