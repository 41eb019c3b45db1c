-- needs: crawl
-- Count a node as gone, which has to be said to each shard then. 0 if it is here. ARGV[1]: its name.

if is_here(ARGV[1], now()) then
    return 0
end
call('SADD', CLOSED, ARGV[1])
return 1
