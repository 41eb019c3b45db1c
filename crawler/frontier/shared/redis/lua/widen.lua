-- needs: crawl
-- Inputs are there. ARGV: places; those that are new are numbered.

local number = call('ZCARD', PLACES)
for _, place in ipairs(ARGV) do
    if call('ZADD', PLACES, 'NX', number, place) == 1 then
        number = number + 1
    end
end
