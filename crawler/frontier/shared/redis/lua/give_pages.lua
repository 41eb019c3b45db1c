-- needs: crawl
-- A node begins no more than so many pages in all. ARGV: the node, how many.

local taken = tonumber(call('HGET', PAGES, ARGV[1]) or 0)
call('HSET', PAGES, ARGV[1], math.min(taken, ARGV[2]))
