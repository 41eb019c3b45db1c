-- needs: keys queue
-- A piece is in a file now. 0 if somebody else has it, or if it was needed and is queued again.
-- ARGV: the number of the spill, the name of the file.

local number = math.floor(ARGV[1] / 65536)
local found = piece(number)
if not found or found[3] ~= ARGV[1] % 65536 then
    return 0
end
if found[4] ~= '' then
    return found[4] == ARGV[2] and 1 or 0
end
even_when_full()
found[4] = ARGV[2]
call('HSET', PIECES, number, cmsgpack.pack(found))
call('DEL', PIECE_OF .. number)
call('ZREM', SPILLS, number)
look_ahead(found[1])
return 1
