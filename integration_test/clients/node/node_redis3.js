// node-redis 3: callbacks, RESP2, and a ready check by INFO. Not kept up since 2021, and still in many applications.
'use strict'

const { promisify } = require('node:util')
const { assert, allBytes, check, differs, env, eventually, noExpiry, run, skip, ttl, version } = require('./tap.js')
const redis = require('redis')

async function open(options = {}) {
  const client = redis.createClient({ host: env.host, port: env.port, password: env.password, ...options })
  client.on('error', () => {})
  await new Promise((resolve, reject) => {
    client.once('ready', resolve)
    client.once('error', reject)
  })
  return client
}

// call is a command of the client with a promise for its callback.
const call = (client, name, ...args) => promisify(client[name]).apply(client, args)
const exec = (multi, name = 'exec') => promisify(multi[name]).call(multi)

async function commands(client) {
  await check('connect', async () => {
    assert.equal(await call(client, 'ping'), 'PONG')
    assert.equal(await call(client, 'client', 'SETNAME', 'matrix'), 'OK')
    assert.equal(await call(client, 'client', 'GETNAME'), 'matrix')
    assert.match(client.server_info.redis_version, /^\d/)
    const other = await open({ db: 1 })
    await call(other, 'set', 'db', '1', 'EX', 60)
    assert.equal(await call(client, 'get', 'db'), null)
    if (env.password) await assert.rejects(open({ password: 'wrong' }), /WRONGPASS/)
  })
  await check('set-get', async () => {
    assert.equal(await call(client, 'set', 'k', 'v'), 'OK')
    assert.equal(await call(client, 'get', 'k'), 'v')
    assert.equal(await call(client, 'get', 'missing'), null)
    assert.equal(await call(client, 'setnx', 'k', 'w'), 0)
    assert.equal(await call(client, 'getset', 'k', 'ünï ☃'), 'v')
    assert.equal(await call(client, 'get', 'k'), 'ünï ☃')
  })
  await check('binary', async () => {
    const own = await open({ return_buffers: true })
    await call(own, 'set', 'bin', allBytes)
    assert.deepEqual(await call(own, 'get', 'bin'), allBytes)
    await call(own, 'set', 'bin', '')
    assert.equal((await call(own, 'get', 'bin')).length, 0)
  })
  await check('expiry', async () => {
    await call(client, 'setex', 'e', 100, 'v')
    ttl(await call(client, 'ttl', 'e'), 1, 100)
    assert.equal(await call(client, 'expire', 'e', 200), 1)
    ttl(await call(client, 'ttl', 'e'), 101, 200)
    assert.equal(await call(client, 'persist', 'e'), 1)
    noExpiry(await call(client, 'ttl', 'e'))
    await call(client, 'psetex', 'e', 30, 'v')
    await eventually(async () => assert.equal(await call(client, 'exists', 'e'), 0)) // EXISTS, as a read would put an idle timeout back
  })
  await check('hash', async () => {
    assert.equal(await call(client, 'hmset', 'h', { a: '1', b: '2' }), 'OK')
    assert.deepEqual({ ...await call(client, 'hgetall', 'h') }, { a: '1', b: '2' })
    assert.equal(await call(client, 'hincrby', 'h', 'a', 5), 6)
    assert.equal(await call(client, 'hgetall', 'missing'), null)
  })
  await check('counter', async () => {
    assert.equal(await call(client, 'incr', 'n'), 1)
    assert.equal(await call(client, 'incrby', 'n', 41), 42)
    assert.equal(await call(client, 'incrbyfloat', 'n', 0.5), '42.5')
  })
  await check('multi-key', async () => {
    assert.equal(await call(client, 'mset', 'm1', 'a', 'm2', 'b'), 'OK')
    assert.deepEqual(await call(client, 'mget', ['m1', 'missing', 'm2']), ['a', null, 'b'])
    assert.equal(await call(client, 'del', 'm1', 'm2', 'missing'), 2)
  })
  await check('list-set', async () => {
    assert.equal(await call(client, 'rpush', 'l', 'a', 'b', 'c'), 3)
    assert.deepEqual(await call(client, 'lrange', 'l', 0, -1), ['a', 'b', 'c'])
    assert.equal(await call(client, 'sadd', 's', 'x', 'y', 'x'), 2)
    assert.deepEqual((await call(client, 'smembers', 's')).sort(), ['x', 'y'])
  })
  await check('pipeline', async () => {
    const batch = client.batch()
    for (let i = 0; i < 500; i++) batch.set(`p:${i}`, i).get(`p:${i}`)
    const replies = await exec(batch)
    assert.deepEqual(replies, Array.from({ length: 1000 }, (_, i) => i % 2 ? String(i >> 1) : 'OK'))
  })
  await check('transaction', async () => {
    const replies = await exec(client.multi().set('t', '1', 'EX', 90).incr('t').get('t').ttl('t'))
    assert.deepEqual(replies.slice(0, 3), ['OK', 2, '2'])
    ttl(replies[3], 1, 90)
  })
  await check('watch', async () => {
    const own = await open()
    await call(own, 'watch', 'w')
    await call(client, 'set', 'w', 'foreign')
    assert.equal(await exec(own.multi().set('w', 'mine')), null)
    assert.equal(await call(client, 'get', 'w'), 'foreign')
  })
  await check('script', async () => { // EVAL goes out as EVALSHA, and as EVAL after NOSCRIPT
    const script = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1]) .. '!'"
    assert.equal(await call(client, 'eval', script, 1, 'sc', 'a'), 'a!')
    assert.equal(await call(client, 'eval', script, 1, 'sc', 'b'), 'b!')
    await assert.rejects(call(client, 'evalsha', '0'.repeat(40), 0), { code: 'NOSCRIPT' })
  })
  await check('scan', async () => {
    for (let i = 0; i < 300; i++) client.set(`scan:${i}`, 'v')
    const found = new Set()
    let cursor = '0'
    do {
      const [next, page] = await call(client, 'scan', cursor, 'MATCH', 'scan:*', 'COUNT', '50')
      page.forEach((key) => found.add(key))
      cursor = next
    } while (cursor !== '0')
    assert.equal(found.size, 300)
    assert.equal((await call(client, 'keys', 'scan:1?')).length, 10)
  })
  await check('pubsub', async () => {
    const own = await open()
    const got = []
    own.on('message', (...message) => got.push(message))
    own.on('pmessage', (...message) => got.push(message))
    await call(own, 'subscribe', 'news')
    await call(own, 'psubscribe', 'ne?s')
    assert.equal(await call(client, 'publish', 'news', 'hello'), 2)
    await eventually(() => assert.deepEqual(got, [['news', 'hello'], ['ne?s', 'news', 'hello']]))
    await call(own, 'unsubscribe', 'news')
    await call(own, 'punsubscribe', 'ne?s')
    assert.equal(await call(own, 'get', 'sc'), 'b')
  })
  await check('blocking', async () => {
    const own = await open()
    const waiting = call(own, 'blpop', 'queue', 10)
    await call(client, 'rpush', 'queue', 'job')
    assert.deepEqual(await waiting, ['queue', 'job'])
    assert.equal(await call(own, 'blpop', 'queue', 0.2), null)
  })
  await check('large', async () => {
    const large = 'x'.repeat(1 << 20)
    await call(client, 'set', 'large', large)
    assert.equal(await call(client, 'get', 'large'), large)
  })
  await check('error', async () => {
    await assert.rejects(call(client, 'lpush', 'sc', 'x'), (err) => err instanceof redis.ReplyError && err.code === 'WRONGTYPE')
    await assert.rejects(call(client, 'send_command', 'NOSUCH', ['a']), /ERR unknown command ['`]nosuch['`], with args beginning with: ['`]a/)
  })
  skip('resp3', 'speaks RESP2 only')
  await check('concurrent', async () => {
    const many = await Promise.all(Array.from({ length: 50 }, () => open()))
    await Promise.all(many.map((c) => call(c, 'incr', 'c:n')))
    assert.equal(await call(client, 'get', 'c:n'), '50')
    await Promise.all(many.map((c) => call(c, 'quit')))
  })
  if (env.rules) {
    await differs('monitor', 'it shows what all clients of the server do, which is refused in a namespace (NOPERM)', async () =>
      assert.rejects(call(await open(), 'monitor'), /NOPERM/))
  } else await check('monitor', async () => {
    const own = await open()
    const seen = []
    own.on('monitor', (time, args) => seen.push(args.join(' ')))
    await call(own, 'monitor')
    await call(client, 'get', 'watched')
    await eventually(() => assert.ok(seen.includes('get watched')))
  })
  await check('reconnect', async () => {
    const own = await open()
    const again = new Promise((resolve) => own.once('reconnecting', resolve))
    assert.equal(await call(client, 'client', 'KILL', 'ID', await call(own, 'client', 'ID')), 1)
    await again
    assert.equal(await call(own, 'set', 'r', 'v'), 'OK')
    assert.equal(await call(own, 'get', 'r'), 'v')
  })
}

run(async () => {
  version('redis')
  await commands(await open())
})
