-- needs: crawl
-- Begin a crawl, or find it: the version of its keys, the options with which it was begun, and by what it is known from
-- others that had or will have its name. ARGV: the version of these keys, the options, what nobody else ever said here.

if call('HEXISTS', ABOUT, 'version') == 0 then
    call('HSET', ABOUT, 'version', ARGV[1], 'options', ARGV[2], 'own', ARGV[3])
end
return call('HMGET', ABOUT, 'version', 'options', 'own')
