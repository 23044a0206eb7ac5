-- lua-resty-redis, as Debian has it, within nginx: a pool of connections for each worker, and many requests at once.
local redis = require 'nginx.redis'
local tap = require 'tap'
local check, same, ttl = tap.check, tap.same, tap.ttl
tap.say = ngx.say

-- A connection, which may come from the pool. Only a new one has to log in.
local function connect()
    local client = redis:new()
    client:set_timeout(5000)
    assert(client:connect(tap.host, tap.port))
    if tap.password and assert(client:get_reused_times()) == 0 then
        assert(client:auth(tap.password))
    end
    return client
end

local client

check('connect', function()
    client = connect()
    same('PONG', client:ping())
    same('OK', client:select(0))
    same('OK', client:client('SETNAME', 'nginx'))
    same('nginx', client:client('GETNAME'))
end)

check('set-get', function()
    same('OK', client:set('s', 'v'))
    same('v', client:get('s'))
    same(ngx.null, client:get('absent'))
    same(0, client:setnx('s', 'y'))
end)

check('binary', function()
    client:set(tap.every_byte, tap.every_byte)
    same(true, client:get(tap.every_byte) == tap.every_byte)
    client:set('empty', '')
    same('', client:get('empty'))
end)

check('expiry', function()
    client:set('e', 'v', 'EX', 100)
    ttl(100, client:ttl('e'))
    same(1, client:expire('e', 300))
    ttl(300, client:ttl('e'))
    same(1, client:persist('e'))
    ttl(-1, client:ttl('e'))
end)

check('hash', function()
    same('OK', client:hmset('h', {a = '1'}))
    same({'a', '1'}, client:hgetall('h'))
    same(5, client:hincrby('h', 'a', 4))
end)

check('counter', function()
    same(1, client:incr('n'))
    same(11, client:incrby('n', 10))
end)

check('multi-key', function()
    client:mset('m1', 'a', 'm2', 'b')
    same({'a', 'b', ngx.null}, client:mget('m1', 'm2', 'm3'))
    same(2, client:del('m1', 'm2', 'm3'))
end)

check('list-set', function()
    same(3, client:rpush('l', 'a', 'b', 'c'))
    same({'a', 'b', 'c'}, client:lrange('l', 0, -1))
    same(2, client:sadd('t', 'x', 'y'))
end)

check('pipeline', function()
    client:init_pipeline()
    for i = 1, 500 do
        client:set('p' .. i, 'v' .. i)
        client:get('p' .. i)
    end
    local replies = client:commit_pipeline()
    same(1000, #replies)
    for i = 1, 500 do
        same('v' .. i, replies[2 * i])
    end
end)

check('transaction', function()
    client:multi()
    same('QUEUED', client:set('x', 'v'))
    same('QUEUED', client:get('x'))
    same({'OK', 'v'}, client:exec())
end)

check('watch', function()
    local other = connect()
    client:set('w', '1')
    client:watch('w')
    other:set('w', '2')
    client:multi()
    client:set('w', '3')
    same(ngx.null, client:exec())
    same('2', client:get('w'))
end)

check('script', function()
    same('v!', client:eval("return redis.call('GET', KEYS[1]) .. ARGV[1]", 1, 's', '!'))
    local _, why = client:evalsha(('0'):rep(40), 0)
    same('NOSCRIPT', why:match('^%w+'))
end)

check('scan', function()
    for i = 1, 200 do
        client:set('scan:' .. i, 'v')
    end
    local found, cursor = 0, '0'
    repeat
        local part = client:scan(cursor, 'MATCH', 'scan:*', 'COUNT', 50)
        cursor, found = part[1], found + #part[2]
    until cursor == '0'
    same(true, found >= 200)
end)

check('pubsub', function()
    local listener = connect()
    same({'subscribe', 'news', 1}, listener:subscribe('news'))
    same(1, client:publish('news', tap.every_byte))
    local message = listener:read_reply()
    same(true, message[3] == tap.every_byte)
    listener:close()
end)

check('blocking', function()
    local waiter = connect()
    local thread = ngx.thread.spawn(function() return waiter:blpop('queue', 4) end)
    same(1, client:rpush('queue', 'job'))
    local _, job = ngx.thread.wait(thread)
    same({'queue', 'job'}, job)
    same(ngx.null, waiter:blpop('queue', 1))
end)

check('large', function()
    local value = tap.every_byte:rep(4096)
    client:set('large', value)
    same(true, client:get('large') == value)
end)

check('error', function()
    local reply, why = client:lpush('s', 'a')
    same(false, reply)
    same('WRONGTYPE', why:match('^%w+'))
end)

check('resp3', function() tap.skip('lua-resty-redis speaks RESP2 only') end)

check('concurrent', function()
    local threads = {}
    for i = 1, 50 do
        threads[i] = ngx.thread.spawn(function()
            for j = 1, 20 do
                local own = connect() -- a connection of the pool for every command, as requests do
                own:set('c' .. i, i .. '-' .. j)
                same(i .. '-' .. j, own:get('c' .. i))
                own:incr('all')
                assert(own:set_keepalive(10000, 50))
            end
            return true
        end)
    end
    for _, thread in ipairs(threads) do
        local good, result = ngx.thread.wait(thread)
        same({true, true}, {good, result})
    end
    same('1000', client:get('all'))
end)

check('pool', function()
    local first = connect()
    local id = first:client('ID')
    assert(first:set_keepalive(10000, 50))
    local second = connect()
    same(true, second:get_reused_times() > 0)
    same(id, second:client('ID'))
    assert(second:set_keepalive(10000, 50))
end)

check('reconnect', function()
    local id = client:client('ID')
    same(1, connect():client('KILL', 'ID', id))
    -- lua-resty-redis says so; connecting anew is the application's part.
    local reply = client:get('s')
    same(nil, reply)
    client = connect()
    same('v', client:get('s'))
end)

tap.done()
