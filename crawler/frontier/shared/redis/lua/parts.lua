-- needs: keys
-- How long each part is: its name and size.

local answers = {}
local parts = call('HGETALL', shard .. ':parts')
for i = 1, #parts, 2 do
    answers[#answers + 1] = {parts[i], cmsgpack.unpack(parts[i + 1])[2]}
end
return answers
