-- needs: crawl
-- Begin a crawl, or find it: the version of its keys, and the options with which it was begun.
-- ARGV: the version of these keys, the options.

if call('EXISTS', ABOUT) == 0 then
    call('HSET', ABOUT, 'version', ARGV[1], 'options', ARGV[2])
end
return call('HMGET', ABOUT, 'version', 'options')
