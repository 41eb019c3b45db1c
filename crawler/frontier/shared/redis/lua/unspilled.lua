-- needs: keys queue leases
-- What a file has is queued again, behind the head. 0 if it is not the first file of that host any more, -1 if there were
-- not as many in it. ARGV[1], packed: host, file, how long each entry is. ARGV[2]: the entries.

local host, file, lengths = unpack(cmsgpack.unpack(ARGV[1]))
local number = call('LINDEX', ORDER .. host, 0)
local found = number and piece(number)
if not found or found[4] ~= file then
    return 0
end
if found[2] ~= #lengths then
    return -1
end
local entries = {}
local position = 1
for i, length in ipairs(lengths) do
    entries[i] = string.sub(ARGV[2], position, position + length - 1)
    position = position + length
end
each('RPUSH', QUEUE .. host, entries)
call('LPOP', ORDER .. host)
call('HDEL', PIECES, number)
call('HINCRBY', BEYOND, host, -#entries)
call('SREM', LOW, host)
look_ahead(host)
if not held(host) then
    local _, at = about(host)
    call('ZADD', READY, 'NX', at, host)
end
return 1
