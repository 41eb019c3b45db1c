-- needs: crawl
-- Be who reads the inputs. ARGV: the node, seconds: with 0 it is only said what would be. From which number on; -1 if all
-- were read; nothing if another does.

local reader, till, following, exhausted = unpack(call('HMGET', SEEDS, 'reader', 'until', 'following', 'exhausted'))
if exhausted then
    return -1
end
local time = now()
if reader and reader ~= ARGV[1] and tonumber(till) > time then
    return false
end
if tonumber(ARGV[2]) > 0 then
    call('HSET', SEEDS, 'reader', ARGV[1], 'until', time + ARGV[2])
end
return tonumber(following or 0)
