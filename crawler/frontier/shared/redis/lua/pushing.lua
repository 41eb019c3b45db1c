-- needs: crawl
-- How many lines were pushed and have not arrived.

return call('LLEN', PUSH) + call('HLEN', PUSHED)
