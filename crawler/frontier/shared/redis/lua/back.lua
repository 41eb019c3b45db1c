-- A node that was counted as gone is back. ARGV[1]: its name.

redis.call('SREM', KEYS[1] .. ':gone', ARGV[1])
