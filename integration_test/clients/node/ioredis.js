// ioredis 5 and 6, and iovalkey, which began as a copy of ioredis 5.
'use strict'

const { assert, allBytes, check, differs, env, eventually, noExpiry, run, skip, ttl, version } = require('./tap.js')
const name = process.argv[2]
const Redis = require(name)

// open waits until the client is ready: by default it asks INFO first, whether the server is still loading.
function open(options = {}) {
  return new Promise((resolve, reject) => {
    const client = new Redis({ host: env.host, port: env.port, password: env.password, connectionName: 'matrix', ...options })
    client.once('ready', () => resolve(client))
    client.once('error', reject)
    client.on('error', () => {})
  })
}

function collect(stream) {
  return new Promise((resolve, reject) => {
    const found = []
    stream.on('data', (page) => found.push(...page))
    stream.on('end', () => resolve(found))
    stream.on('error', reject)
  })
}

async function commands(client) {
  await check('connect', async () => {
    assert.equal(await client.ping(), 'PONG')
    assert.equal(await client.client('GETNAME'), 'matrix')
    const other = await open({ db: 1 })
    await other.set('db', '1', 'EX', 60)
    assert.equal(await other.get('db'), '1')
    assert.equal(await client.get('db'), null)
    const byURL = new Redis(env.url)
    assert.equal(await byURL.ping(), 'PONG')
    if (env.password) await assert.rejects(open({ password: 'wrong', retryStrategy: null }), /WRONGPASS/)
  })
  await check('ready-check', async () => {
    const states = []
    const own = new Redis({ host: env.host, port: env.port, password: env.password, lazyConnect: true })
    for (const state of ['connect', 'ready']) own.on(state, () => states.push(state))
    await own.connect()
    assert.deepEqual(states, ['connect', 'ready'])
    assert.match(await own.info(), /redis_version:[\s\S]*loading:0[\s\S]*role:master/)
    const bare = await open({ enableReadyCheck: false })
    assert.equal(await bare.ping(), 'PONG')
  })
  await check('set-get', async () => {
    assert.equal(await client.set('k', 'v'), 'OK')
    assert.equal(await client.get('k'), 'v')
    assert.equal(await client.get('missing'), null)
    assert.equal(await client.set('k', 'w', 'NX'), null)
    assert.equal(await client.set('k', 'w', 'XX', 'GET'), 'v')
    await client.set('ключ ☃', 'значение')
    assert.equal(await client.get('ключ ☃'), 'значение')
    assert.equal(await client.getdel('k'), 'w')
    assert.equal(await client.exists('k'), 0)
  })
  await check('key-prefix', async () => {
    const own = await open({ keyPrefix: 'mine:' })
    await own.set('k', 'v')
    assert.equal(await client.get('mine:k'), 'v')
    assert.deepEqual(await own.keys('mine:*'), ['mine:k'])
  })
  await check('binary', async () => {
    await client.set('bin', allBytes)
    assert.deepEqual(await client.getBuffer('bin'), allBytes)
    await client.set('bin', '')
    assert.equal(await client.get('bin'), '')
    await client.hset('bin-hash', 'f', allBytes)
    assert.deepEqual(await client.hgetBuffer('bin-hash', 'f'), allBytes)
    await client.set(allBytes, 'key')
    assert.equal(await client.get(allBytes), 'key')
  })
  await check('expiry', async () => {
    await client.set('e', 'v', 'EX', 100)
    ttl(await client.ttl('e'), 1, 100)
    assert.equal(await client.expire('e', 200), 1)
    ttl(await client.ttl('e'), 101, 200)
    ttl(await client.pttl('e') / 1000, 101, 200)
    assert.equal(await client.persist('e'), 1)
    noExpiry(await client.ttl('e'))
    assert.equal(await client.getex('e', 'EX', 300), 'v')
    ttl(await client.ttl('e'), 201, 300)
    await client.setex('e', 50, 'w')
    ttl(await client.ttl('e'), 1, 50)
    await client.set('e', 'x', 'KEEPTTL')
    ttl(await client.ttl('e'), 1, 50)
    assert.equal(await client.pexpireat('e', Date.now() + 70000), 1)
    ttl(await client.ttl('e'), 50, 71)
    assert.equal(await client.expire('e', -1), 1)
    assert.equal(await client.ttl('e'), -2)
    await client.psetex('e', 30, 'v')
    await eventually(async () => assert.equal(await client.exists('e'), 0)) // EXISTS, as a read would put an idle timeout back
    assert.equal(await client.get('e'), null)
  })
  await check('hash', async () => {
    assert.equal(await client.hset('h', { a: '1', b: '2', c: '' }), 3)
    assert.deepEqual(await client.hgetall('h'), { a: '1', b: '2', c: '' })
    assert.deepEqual(await client.hmget('h', 'a', 'missing', 'c'), ['1', null, ''])
    assert.equal(await client.hincrby('h', 'a', 5), 6)
    assert.equal(await client.hdel('h', 'b', 'missing'), 1)
    assert.equal(await client.hlen('h'), 2)
    assert.deepEqual(await client.hgetall('missing'), {})
  })
  await check('counter', async () => {
    assert.equal(await client.incr('n'), 1)
    assert.equal(await client.incrby('n', 41), 42)
    assert.equal(await client.decr('n'), 41)
    assert.equal(Number(await client.incrbyfloat('n', 0.5)), 41.5)
  })
  await check('multi-key', async () => {
    assert.equal(await client.mset({ m1: 'a', m2: 'b', m3: 'c' }), 'OK')
    assert.deepEqual(await client.mget('m1', 'missing', 'm3'), ['a', null, 'c'])
    assert.equal(await client.msetnx('m1', 'x', 'm4', 'y'), 0)
    assert.equal(await client.exists('m1', 'm2', 'm4'), 2)
    assert.equal(await client.del('m1', 'm2', 'missing'), 2)
    assert.equal(await client.unlink('m3'), 1)
    noExpiry(await client.ttl('n'))
  })
  await check('list-set', async () => {
    assert.equal(await client.rpush('l', 'a', 'b', 'c'), 3)
    assert.deepEqual(await client.lrange('l', 0, -1), ['a', 'b', 'c'])
    assert.equal(await client.lpop('l'), 'a')
    assert.equal(await client.lmove('l', 'l2', 'LEFT', 'RIGHT'), 'b')
    assert.equal(await client.sadd('s', 'x', 'y', 'x'), 2)
    assert.deepEqual((await client.smembers('s')).sort(), ['x', 'y'])
    assert.deepEqual(await client.smismember('s', 'x', 'z'), [1, 0])
    assert.equal(await client.zadd('z', 1.5, 'one', 2, 'two'), 2)
    assert.deepEqual((await client.zrange('z', 0, -1, 'WITHSCORES')).flat().map(String), ['one', '1.5', 'two', '2'])
    const id = await client.xadd('x', '*', 'f', 'v')
    assert.deepEqual(await client.xrange('x', '-', '+'), [[id, ['f', 'v']]])
  })
  await check('pipeline', async () => {
    const pipeline = client.pipeline()
    for (let i = 0; i < 500; i++) pipeline.set(`p:${i}`, i).get(`p:${i}`)
    const replies = await pipeline.exec()
    assert.equal(replies.length, 1000)
    replies.forEach(([err, reply], i) => assert.deepEqual([err, reply], [null, i % 2 ? String(i >> 1) : 'OK']))
    const mixed = await client.pipeline([['set', 'p:s', 'v'], ['lpush', 'p:s', 'x'], ['get', 'p:s']]).exec()
    assert.equal(mixed[0][1], 'OK')
    assert.match(mixed[1][0].message, /^WRONGTYPE/)
    assert.equal(mixed[2][1], 'v')
  })
  await check('auto-pipelining', async () => {
    const own = await open({ enableAutoPipelining: true })
    await Promise.all(Array.from({ length: 1000 }, (_, i) => own.set(`auto:${i}`, i)))
    const replies = await Promise.all(Array.from({ length: 1000 }, (_, i) => own.get(`auto:${i}`)))
    assert.deepEqual(replies, Array.from({ length: 1000 }, (_, i) => String(i)))
    const mixed = await Promise.allSettled([own.set('auto:s', 'v'), own.lpush('auto:s', 'x'), own.get('auto:s')])
    assert.deepEqual(mixed.map((m) => m.status), ['fulfilled', 'rejected', 'fulfilled'])
  })
  await check('transaction', async () => {
    const replies = await client.multi().set('t', '1', 'EX', 90).incr('t').get('t').hset('t-hash', 'f', 'v').ttl('t').exec()
    assert.deepEqual(replies.slice(0, 4), [[null, 'OK'], [null, 2], [null, '2'], [null, 1]])
    ttl(replies[4][1], 1, 90)
    assert.equal(replies.length, 5)
    await assert.rejects(client.multi().set('t', 'x').call('NOSUCH').exec(), /EXECABORT/)
    assert.equal(await client.get('t'), '2')
    await client.multi({ pipeline: false })
    assert.equal(await client.set('t', '3'), 'QUEUED')
    assert.deepEqual(await client.exec(), [[null, 'OK']])
    const error = await client.multi().lpush('t', 'x').get('t').exec()
    assert.match(error[0][0].message, /^WRONGTYPE/)
    assert.equal(error[1][1], '3')
  })
  await check('watch', async () => {
    const own = await open()
    await own.watch('w')
    await client.set('w', 'foreign')
    assert.equal(await own.multi().set('w', 'mine').exec(), null)
    assert.equal(await client.get('w'), 'foreign')
    await own.watch('w')
    assert.deepEqual(await own.multi().set('w', 'mine').get('w').exec(), [[null, 'OK'], [null, 'mine']])
  })
  await check('script', async () => {
    assert.equal(await client.eval("redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]", 1, 'sc', 'v'), 'v')
    assert.equal(await client.get('sc'), 'v')
    await assert.rejects(client.evalsha('0'.repeat(40), 0), /NOSCRIPT/)
    const sha = await client.script('LOAD', 'return {1, "two", false, {KEYS[1]}}')
    assert.deepEqual(await client.evalsha(sha, 1, 'sc'), [1, 'two', null, ['sc']])
    assert.deepEqual(await client.script('EXISTS', sha, '0'.repeat(40)), [1, 0])
    await assert.rejects(client.eval("return redis.error_reply('MY own')", 0), /MY own/)
  })
  await check('define-command', async () => {
    client.defineCommand('own', { numberOfKeys: 1, lua: "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1]) .. '!'" })
    assert.equal(await client.own('sc2', 'a'), 'a!')
    assert.equal(await client.own('sc2', 'b'), 'b!')
    const other = await open({ scripts: { dynamic: { lua: 'return #KEYS + #ARGV' } } })
    assert.equal(await other.dynamic(2, 'sc', 'sc2', 'x'), 3)
    assert.deepEqual(await other.pipeline().dynamic(1, 'sc', 'x').get('sc').exec(), [[null, 2], [null, 'v']])
  })
  if (env.rules) {
    await differs('script-flush', 'SCRIPT FLUSH concerns the whole server, which is refused in a namespace (NOPERM)', () =>
      assert.rejects(client.script('FLUSH'), /^ReplyError: NOPERM .*script\|flush/))
  } else {
    await check('script-flush', async () => {
      await client.script('FLUSH')
      assert.equal(await client.own('sc2', 'c'), 'c!')
      await client.script('FLUSH')
      assert.deepEqual(await client.pipeline().own('sc2', 'd').exec(), [[null, 'd!']])
    })
  }
  await check('scan', async () => {
    await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`scan:${i}`, 'v'])))
    assert.equal(new Set(await collect(client.scanStream({ match: 'scan:*', count: 50 }))).size, 300)
    assert.deepEqual((await collect(client.scanStream({ match: 'scan:29[89]' }))).sort(), ['scan:298', 'scan:299'])
    assert.deepEqual((await client.keys('scan:1?')).sort(), Array.from({ length: 10 }, (_, i) => `scan:1${i}`))
    assert.deepEqual(await collect(client.scanStream({ match: 's*', type: 'set' })), ['s'])
    assert.deepEqual(await collect(client.hscanStream('h', { match: 'a' })), ['a', '6'])
    assert.deepEqual((await collect(client.sscanStream('s'))).sort(), ['x', 'y'])
    const buffers = await collect(client.scanBufferStream({ match: 'scan:7' }))
    assert.deepEqual(buffers, [Buffer.from('scan:7')])
    assert.ok(await client.dbsize() >= 300)
  })
  await check('pubsub', async () => {
    const own = await open()
    const got = []
    own.on('message', (...message) => got.push(message))
    own.on('pmessage', (...message) => got.push(message))
    own.on('smessage', (...message) => got.push(message))
    assert.equal(await own.subscribe('news', 'other'), 2)
    assert.equal(await own.psubscribe('ne?s'), 3)
    assert.equal(await client.publish('news', 'hello'), 2)
    await eventually(() => assert.deepEqual(got, [['news', 'hello'], ['ne?s', 'news', 'hello']]))
    await own.unsubscribe('news', 'other') // by name: without, ioredis waits for ever while there are patterns
    await own.punsubscribe('ne?s')
    assert.equal(await client.publish('news', 'nobody'), 0)
    assert.equal(await own.get('sc'), 'v')
    await own.ssubscribe('shard')
    assert.equal(await client.spublish('shard', 'to it'), 1)
    await eventually(() => assert.deepEqual(got.at(-1), ['shard', 'to it']))
  })
  await check('blocking', async () => {
    const own = await open()
    const waiting = own.blpop('queue', 10)
    await client.rpush('queue', 'job')
    assert.deepEqual(await waiting, ['queue', 'job'])
    const start = Date.now()
    assert.equal(await own.blpop('queue', 0.2), null)
    assert.ok(Date.now() - start >= 190, 'the timeout came too early')
    const stream = own.xread('BLOCK', 10000, 'STREAMS', 'jobs', '$')
    await eventually(async () => {
      await client.xadd('jobs', '*', 'n', '1')
      assert.ok(await Promise.race([stream, new Promise((resolve) => setTimeout(resolve, 20))]))
    })
  })
  await check('large', async () => {
    const large = 'x'.repeat(1 << 20)
    await client.set('large', large)
    assert.equal(await client.get('large'), large)
  })
  await check('error', async () => {
    await client.set('str', 'v')
    await assert.rejects(client.lpush('str', 'x'), (err) => err.name === 'ReplyError' && /^WRONGTYPE /.test(err.message) && err.command.name === 'lpush')
    await assert.rejects(client.call('NOSUCH', 'a'), /^ReplyError: ERR unknown command ['`]NOSUCH['`], with args beginning with: ['`]a/)
    assert.equal(await client.get('str'), 'v')
  })
  await check('concurrent', async () => {
    const many = await Promise.all(Array.from({ length: 50 }, () => open()))
    const replies = await Promise.all(many.map(async (c, i) => {
      await c.set(`c:${i}`, i)
      await c.incr('c:n')
      return c.get(`c:${i}`)
    }))
    assert.deepEqual(replies, Array.from({ length: 50 }, (_, i) => String(i)))
    assert.equal(await client.get('c:n'), '50')
    await Promise.all(many.map((c) => c.quit()))
  })
  await check('reconnect', async () => {
    const own = await open()
    await own.subscribe('kept')
    const got = []
    own.on('message', (...message) => got.push(message))
    const plain = await open()
    const again = Promise.all([own, plain].map((c) => new Promise((resolve) => c.once('reconnecting', resolve))))
    assert.equal(await client.client('KILL', 'ID', await plain.client('ID')), 1)
    for (const line of (await client.client('LIST', 'TYPE', 'pubsub')).trim().split('\n')) {
      if (/ sub=1 /.test(line)) await client.client('KILL', 'ID', line.match(/id=(\d+)/)[1])
    }
    await again
    assert.equal(await plain.set('r', 'v'), 'OK')
    assert.equal(await plain.get('r'), 'v')
    assert.equal(await plain.client('GETNAME'), 'matrix')
    await eventually(async () => assert.equal(await client.publish('kept', 'again'), 1)) // subscribes anew by itself
    await eventually(() => assert.deepEqual(got.at(-1), ['kept', 'again']))
  })
}

// typed looks at what only RESP3 tells: maps, doubles, booleans and messages between replies.
async function typed() {
  const client = await open({ protocol: 3 })
  const hello = [await client.call('HELLO')].flat()
  const proto = hello.length > 1 ? hello[hello.indexOf('proto') + 1] : hello[0].proto ?? hello[0].get('proto')
  assert.equal(proto, 3)
  await client.hset('r3', 'a', '1')
  assert.deepEqual(await client.hgetall('r3'), { a: '1' })
  await client.zadd('r3z', 1.25, 'm')
  assert.equal(Number(await client.zscore('r3z', 'm')), 1.25)
  const got = []
  client.on('message', (channel, message) => got.push(message))
  await client.subscribe('r3')
  assert.equal(await client.publish('r3', 'between replies'), 1)
  await eventually(() => assert.deepEqual(got, ['between replies']))
  assert.equal(await client.hget('r3', 'a'), '1')
}

run(async () => {
  version(name)
  const client = await open()
  await commands(client)
  if (process.argv[3] === '6') {
    await check('resp3', typed)
    await check('resp2', async () => {
      const own = await open({ protocol: 2 })
      assert.deepEqual(await own.call('HGETALL', 'h'), ['a', '6', 'c', ''])
    })
  } else {
    skip('resp3', 'speaks RESP2 only')
  }
  await client.quit()
})
