-- needs: crawl
-- Places by their numbers. ARGV: the first number, how many.

return call('ZRANGE', PLACES, ARGV[1], ARGV[1] + ARGV[2] - 1)
