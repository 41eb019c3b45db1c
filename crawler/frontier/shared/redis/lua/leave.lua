-- needs: crawl
-- No longer be a node. ARGV[1]: its name.

call('HDEL', NODES, ARGV[1])
call('ZREM', UNTIL, ARGV[1])
