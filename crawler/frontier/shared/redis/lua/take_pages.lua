-- needs: crawl
-- How many pages a node may begin in all, of --max-pages, and then those nodes that took some and are gone: what they
-- took and did not begin is there again as soon as that is known. ARGV: the node, how many in all it wants, the limit.

local node, total, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = now()
local others = 0
local gone = {}
local taken = call('HGETALL', PAGES)
for i = 1, #taken, 2 do
    local name = taken[i]
    if name ~= node then
        others = others + taken[i + 1]
        if not is_here(name, time) and call('SISMEMBER', CLOSED, name) == 0 then
            gone[#gone + 1] = name
        end
    end
end
local began = tonumber(call('HGET', crawl .. ':began', node) or 0)
local may = math.max(began, math.min(total, limit - others))
call('HSET', PAGES, node, may)
return {may, gone}
