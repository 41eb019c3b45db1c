-- needs: crawl
-- A node that is gone began so many pages, as all shards say; the rest of what it took is there again. 0 if it came back
-- in the meantime. ARGV: its name, how many.

if call('SISMEMBER', CLOSED, ARGV[1]) == 0 then
    return 0
end
call('HSET', PAGES, ARGV[1], ARGV[2])
call('HSET', crawl .. ':began', ARGV[1], ARGV[2])
return 1
