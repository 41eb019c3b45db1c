-- The keys of a crawl that are of no shard: they begin with KEYS[1], as {crawl:ID}.

local call = redis.call
local crawl = KEYS[1]

local ABOUT = crawl .. ':about' -- hash: the version of these keys, the options with which it was begun, whose it is
local NODES = crawl .. ':nodes' -- hash: node -> what it says of itself
local UNTIL = crawl .. ':until' -- sorted set: nodes, by until when they are here
local SEEDS = crawl .. ':seeds' -- hash: who reads the inputs, until when, from which number on, whether all were read
local PUSH = crawl .. ':push' -- list: lines that other programs push
local PUSHED = crawl .. ':pushed' -- hash: number -> a line that a node takes in
local PUSHED_UNTIL = crawl .. ':pushed-until' -- sorted set: these numbers, by when another node gets them
local PLACES = crawl .. ':places' -- sorted set: where inputs are (--scope), by their numbers
local PAGES = crawl .. ':pages' -- hash: node -> how many pages it may begin in all, or began if it is gone
local CLOSED = crawl .. ':closed' -- set: nodes that are counted as gone

local function now()
    local time = call('TIME')
    return time[1] + time[2] / 1000000
end

local function is_here(node, time)
    return tonumber(call('ZSCORE', UNTIL, node) or 0) > time
end
