-- needs: keys queue leases looking
-- What is known of one host, or nothing. ARGV[1]: its name.

local host = ARGV[1]
if call('HEXISTS', HOSTS, host) == 0 and not held(host) and queued(host) == 0 then
    return false
end
return host_books(host, now())
