-- needs: crawl
-- Such lines have arrived. ARGV[1], packed: their numbers.

for _, number in ipairs(cmsgpack.unpack(ARGV[1])) do
    call('HDEL', PUSHED, number)
    call('ZREM', PUSHED_UNTIL, number)
end
