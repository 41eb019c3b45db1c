-- needs: keys queue
-- Hosts whose head runs out while their first piece is a file, each with that file. ARGV[1]: up to how many.

local answers = {}
for i, host in ipairs(call('SRANDMEMBER', LOW, ARGV[1])) do
    answers[i] = {host, piece(call('LINDEX', ORDER .. host, 0))[4]}
end
return answers
