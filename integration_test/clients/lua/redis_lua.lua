-- redis-lua.
local redis = require 'redis'
local tap = require 'tap'
local check, same, ttl = tap.check, tap.same, tap.ttl

print('# version ' .. redis._VERSION:match('[%d.]+'))

-- What this version of redis-lua has no function for.
for _, name in ipairs({'getex', 'client', 'pexpireat', 'script'}) do
    redis.commands[name] = redis.commands[name] or redis.command(name:upper())
end

local function connect()
    local client = redis.connect({host = tap.host, port = tap.port, timeout = 5})
    if tap.password then
        client:auth(tap.password)
    end
    return client
end

-- The error that body ends with.
local function refused(body)
    local good, why = pcall(body)
    return good and 'no error' or tostring(why)
end

local function has(got, part)
    if not got:find(part, 1, true) then
        error('want ' .. part .. ', got ' .. got, 2)
    end
end

local client

check('connect', function()
    client = connect()
    same(true, client:ping())
    same(true, client:select(0))
    client:client('SETNAME', 'lua')
    same('lua', client:client('GETNAME'))
    same('table', type(client:info()))
    if tap.password then
        local other = redis.connect(tap.host, tap.port)
        has(refused(function() other:auth('wrong') end), 'WRONGPASS')
    end
end)

check('set-get', function()
    same(true, client:set('s', 'v'))
    same('v', client:get('s'))
    same(nil, client:get('absent'))
    same('v', client:getset('s', 'w'))
    same(false, client:setnx('s', 'y'))
    same(4, client:append('s', '123'))
    same('w123', client:get('s'))
    same('string', client:type('s'))
    same(true, client:exists('s'))
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
    client:setex('e', 200, 'v')
    ttl(200, client:ttl('e'))
    same(true, client:expire('e', 300))
    ttl(300, client:ttl('e'))
    client:pexpireat('e', (os.time() + 400) * 1000)
    ttl(400, client:ttl('e'))
    client:persist('e')
    ttl(-1, client:ttl('e'))
    same('v', client:getex('e', 'EX', 60))
    ttl(60, client:ttl('e'))
    same(-2, client:ttl('absent'))
end)

check('hash', function()
    same(true, client:hmset('h', {a = '1', b = '2'}))
    same({'1', '2'}, client:hmget('h', 'a', 'b'))
    same(5, client:hincrby('h', 'a', 4))
    same('2', client:hgetall('h').b)
    same(1, client:hdel('h', 'b'))
end)

check('counter', function()
    same(1, client:incr('n'))
    same(11, client:incrby('n', 10))
end)

check('multi-key', function()
    client:mset({m1 = 'a', m2 = 'b'})
    same({'a', 'b'}, client:mget('m1', 'm2'))
    same(2, client:del('m1', 'm2', 'm3'))
end)

check('list-set', function()
    same(3, client:rpush('l', 'a', 'b', 'c'))
    same({'a', 'b', 'c'}, client:lrange('l', 0, -1))
    same('a', client:lpop('l'))
    same(2, client:sadd('t', 'x', 'y'))
    same(true, client:sismember('t', 'x'))
    same(1, client:zadd('z', 1, 'one'))
end)

check('pipeline', function()
    local replies = client:pipeline(function(p)
        for i = 1, 500 do
            p:set('p' .. i, 'v' .. i)
            p:get('p' .. i)
        end
    end)
    same(1000, #replies)
    for i = 1, 500 do
        same('v' .. i, replies[2 * i])
    end
end)

check('transaction', function()
    local replies = client:transaction(function(t)
        t:set('x', 'v')
        t:get('x')
    end)
    same({true, 'v'}, replies)
end)

check('watch', function()
    client:set('w', '1')
    local other, tries = connect(), 0
    client:transaction({cas = true, watch = 'w', retry = 2}, function(t)
        local value = t:get('w')
        tries = tries + 1
        if tries == 1 then -- a conflict: redis-lua tries again
            other:set('w', '5')
        end
        t:multi()
        t:set('w', value + 1)
    end)
    same({2, '6'}, {tries, client:get('w')})
end)

check('script', function()
    local body = "return redis.call('GET', KEYS[1]) .. ARGV[1]"
    same('w123!', client:eval(body, 1, 's', '!'))
    local sha = client:script('LOAD', body)
    same('w123?', client:evalsha(sha, 1, 's', '?'))
    has(refused(function() client:evalsha(('0'):rep(40), 0) end), 'NOSCRIPT')
end)

check('scan', function()
    for i = 1, 200 do
        client:set('scan:' .. i, 'v')
    end
    local found, cursor = 0, 0
    repeat
        local part = client:scan(cursor, {match = 'scan:*', count = 50})
        cursor, found = tonumber(part[1]), found + #part[2]
    until cursor == 0
    same(true, found >= 200)
    same(200, #client:keys('scan:*'))
end)

check('pubsub', function()
    local other, got = connect(), nil
    for message, abort in connect():pubsub({subscribe = {'news'}}) do
        if message.kind == 'subscribe' then
            same(1, other:publish('news', tap.every_byte))
        elseif message.kind == 'message' then
            got = message.payload
            abort()
        end
    end
    same(true, got == tap.every_byte)
end)

check('blocking', function()
    local waiter, other = connect(), connect()
    -- It waits while this program pushes: the request is written before its reply is read.
    waiter.requests.multibulk(waiter, 'BLPOP', 'queue', 5)
    same(1, other:rpush('queue', 'job'))
    local lines = {}
    for i = 1, 5 do
        lines[i] = waiter.network.read(waiter)
    end
    same({'*2', '$5', 'queue', '$3', 'job'}, lines)
    same(nil, waiter:blpop('queue', 1))
end)

check('large', function()
    local value = tap.every_byte:rep(4096)
    client:set('large', value)
    same(true, client:get('large') == value)
end)

check('error', function()
    has(refused(function() client:lpush('s', 'a') end), 'WRONGTYPE')
end)

check('resp3', function() tap.skip('redis-lua speaks RESP2 only') end)

check('concurrent', function()
    local clients = {}
    for i = 1, 50 do
        clients[i] = connect()
    end
    for _ = 1, 20 do -- every client has a request under way before the first reply is read
        for i = 1, 50 do
            clients[i].requests.multibulk(clients[i], 'INCR', 'all')
        end
        for i = 1, 50 do
            clients[i].network.read(clients[i])
        end
    end
    same('1000', client:get('all'))
end)

check('reconnect', function()
    local id = client:client('ID')
    same(1, connect():client('KILL', 'ID', id))
    -- redis-lua says so; connecting anew is the application's part.
    has(refused(function() client:get('s') end), 'closed')
    client = connect()
    same('w123', client:get('s'))
end)

tap.done()
