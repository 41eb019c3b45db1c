-- needs: keys queue
-- URLs of a host, up to so many: first those that are leased, in the order of their ids, then those that are queued and
-- not in files. ARGV: host, how many. How many of them are leased, then their entries.

local host, most = ARGV[1], tonumber(ARGV[2])
local leased = call('HVALS', LEASED .. host)
table.sort(leased, function(one, other) return id_of(one) < id_of(other) end)
local found = {}
local function add(entries)
    for _, raw in ipairs(entries) do
        if #found < most then
            found[#found + 1] = raw
        end
    end
end
add(leased)
local many_leased = #found
add(call('LRANGE', QUEUE .. host, 0, most - 1))
for _, number in ipairs(call('LRANGE', ORDER .. host, 0, -1)) do
    if #found < most and piece(number)[4] == '' then
        add(call('LRANGE', PIECE_OF .. number, 0, most - 1))
    end
end
add(call('LRANGE', TAIL .. host, 0, most - 1))
return {many_leased, frames(found)}
