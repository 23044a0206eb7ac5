// node-redis 4, 5 and 6: the majors differ in names of methods and in the protocol that they speak by default.
'use strict'

const { assert, allBytes, check, env, eventually, noExpiry, run, skip, ttl, version } = require('./tap.js')
const redis = require('redis')

const major = Number(process.argv[2])
const clients = []

async function open(options = {}) {
  const client = redis.createClient({ url: env.url, name: 'matrix', ...options })
  client.on('error', () => {})
  clients.push(client)
  await client.connect()
  return client
}

// buffers has bulk strings of replies come as Buffer.
const buffers = (client) => major === 4
  ? {
      get: (key) => client.get(redis.commandOptions({ returnBuffers: true }), key),
      hGet: (key, field) => client.hGet(redis.commandOptions({ returnBuffers: true }), key, field),
    }
  : client.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer })

// keys walks through scanIterator, which gives one key at a time in 4, and pages since 5.
async function keys(client, options) {
  const found = []
  for await (const page of client.scanIterator(options)) found.push(...[page].flat())
  return found.sort()
}

// script is the library's own way to EVALSHA with a fall-back to EVAL.
const script = redis.defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1]) .. '!'",
  transformArguments: (key, value) => [key, value],
  parseCommand(parser, key, value) {
    parser.pushKey(key)
    parser.push(value)
  },
  transformReply: (reply) => reply,
})

async function commands(client) {
  await check('connect', async () => {
    assert.equal(await client.ping(), 'PONG')
    assert.equal(await client.clientGetName(), 'matrix')
    const other = await open({ url: env.url.replace(/0$/, '1') }) // in 4 the URL wins over the option
    await other.set('db', '1', { EX: 60 })
    assert.equal(await other.get('db'), '1')
    assert.equal(await client.get('db'), null)
    assert.match(await client.sendCommand(['CLIENT', 'LIST']), /lib-name=|name=matrix/)
    if (env.password) {
      const wrong = redis.createClient({ url: env.url.replace(env.password, 'wrong'), socket: { reconnectStrategy: false } })
      wrong.on('error', () => {})
      await assert.rejects(wrong.connect(), /WRONGPASS/)
    }
  })
  await check('set-get', async () => {
    assert.equal(await client.set('k', 'v'), 'OK')
    assert.equal(await client.get('k'), 'v')
    assert.equal(await client.get('missing'), null)
    assert.equal(await client.set('k', 'w', { NX: true }), null)
    assert.equal(await client.set('k', 'w', { XX: true, GET: true }), 'v')
    assert.equal(await client.set('ключ ☃', 'значение'), 'OK')
    assert.equal(await client.get('ключ ☃'), 'значение')
    assert.equal(await client.getDel('k'), 'w')
    assert.equal(await client.exists('k'), 0)
  })
  await check('binary', async () => {
    await client.set('bin', allBytes)
    assert.deepEqual(await buffers(client).get('bin'), allBytes)
    await client.set('bin', '')
    assert.equal(await client.get('bin'), '')
    await client.hSet('bin-hash', 'f', allBytes)
    assert.deepEqual(await buffers(client).hGet('bin-hash', 'f'), allBytes)
  })
  await check('expiry', async () => {
    await client.set('e', 'v', { EX: 100 })
    ttl(await client.ttl('e'), 1, 100)
    assert.equal(Number(await client.expire('e', 200)), 1)
    ttl(await client.ttl('e'), 101, 200)
    ttl(await client.pTTL('e') / 1000, 101, 200)
    assert.equal(Number(await client.persist('e')), 1)
    noExpiry(await client.ttl('e'))
    assert.equal(await client.getEx('e', major === 4 ? { EX: 300 } : { type: 'EX', value: 300 }), 'v')
    ttl(await client.ttl('e'), 201, 300)
    await client.setEx('e', 50, 'w')
    ttl(await client.ttl('e'), 1, 50)
    assert.equal(await client.set('e', 'x', { KEEPTTL: true }), 'OK')
    ttl(await client.ttl('e'), 1, 50)
    assert.equal(Number(await client.expire('e', 0)), 1)
    assert.equal(await client.get('e'), null)
    assert.equal(await client.ttl('e'), -2)
    await client.set('e', 'v', { PX: 30 })
    await eventually(async () => assert.equal(await client.exists('e'), 0)) // EXISTS, as a read would put an idle timeout back
    assert.equal(await client.get('e'), null)
  })
  await check('hash', async () => {
    assert.equal(await client.hSet('h', { a: '1', b: '2', c: '' }), 3)
    assert.deepEqual({ ...await client.hGetAll('h') }, { a: '1', b: '2', c: '' })
    assert.deepEqual(await client.hmGet('h', ['a', 'missing', 'c']), ['1', null, ''])
    assert.equal(await client.hIncrBy('h', 'a', 5), 6)
    assert.equal(await client.hDel('h', ['b', 'missing']), 1)
    assert.equal(await client.hLen('h'), 2)
    assert.deepEqual({ ...await client.hGetAll('missing') }, {})
  })
  await check('counter', async () => {
    assert.equal(await client.incr('n'), 1)
    assert.equal(await client.incrBy('n', 41), 42)
    assert.equal(await client.decr('n'), 41)
    assert.equal(Number(await client.incrByFloat('n', 0.5)), 41.5)
  })
  await check('multi-key', async () => {
    assert.equal(await client.mSet({ m1: 'a', m2: 'b', m3: 'c' }), 'OK')
    assert.deepEqual(await client.mGet(['m1', 'missing', 'm3']), ['a', null, 'c'])
    assert.equal(Number(await client.mSetNX({ m1: 'x', m4: 'y' })), 0)
    assert.equal(await client.exists(['m1', 'm2', 'm4']), 2)
    assert.equal(await client.del(['m1', 'm2', 'missing']), 2)
    assert.equal(await client.unlink('m3'), 1)
    noExpiry(await client.ttl('n'))
  })
  await check('list-set', async () => {
    assert.equal(await client.rPush('l', ['a', 'b', 'c']), 3)
    assert.deepEqual(await client.lRange('l', 0, -1), ['a', 'b', 'c'])
    assert.equal(await client.lPop('l'), 'a')
    assert.equal(await client.lMove('l', 'l2', 'LEFT', 'RIGHT'), 'b')
    assert.equal(await client.sAdd('s', ['x', 'y', 'x']), 2)
    assert.deepEqual((await client.sMembers('s')).sort(), ['x', 'y'])
    assert.deepEqual((await client.smIsMember('s', ['x', 'z'])).map(Number), [1, 0])
    assert.equal(await client.zAdd('z', [{ score: 1.5, value: 'one' }, { score: 2, value: 'two' }]), 2)
    assert.deepEqual((await client.zRangeWithScores('z', 0, -1)).map((m) => ({ ...m })), [{ value: 'one', score: 1.5 }, { value: 'two', score: 2 }])
    const id = await client.xAdd('x', '*', { f: 'v' })
    const [entry] = await client.xRange('x', '-', '+')
    assert.equal(entry.id, id)
    assert.equal(entry.message.f, 'v')
  })
  await check('pipeline', async () => {
    const sets = Array.from({ length: 500 }, (_, i) => client.set(`p:${i}`, String(i)))
    const gets = Array.from({ length: 500 }, (_, i) => client.get(`p:${i}`))
    assert.ok((await Promise.all(sets)).every((reply) => reply === 'OK'))
    assert.deepEqual(await Promise.all(gets), Array.from({ length: 500 }, (_, i) => String(i)))
    const pipeline = client.multi()
    for (let i = 0; i < 1000; i++) pipeline.incr('p:n')
    assert.equal((await pipeline.execAsPipeline()).at(-1), 1000)
  })
  await check('transaction', async () => {
    const replies = await client.multi().set('t', '1', { EX: 90 }).incr('t').get('t').hSet('t-hash', 'f', 'v').ttl('t').exec()
    assert.deepEqual(replies.slice(0, 4), ['OK', 2, '2', 1])
    ttl(replies[4], 1, 90)
    assert.equal(replies.length, 5)
    await assert.rejects(client.multi().set('t', 'x').addCommand(['NOSUCH']).exec())
    assert.equal(await client.get('t'), '2')
  })
  await check('watch', async () => {
    const own = await open()
    await own.watch('w')
    await client.set('w', 'foreign')
    await assert.rejects(own.multi().set('w', 'mine').exec(), redis.WatchError)
    assert.equal(await client.get('w'), 'foreign')
    await own.watch('w')
    assert.deepEqual(await own.multi().set('w', 'mine').get('w').exec(), ['OK', 'mine'])
    await own.watch('w')
    await own.unwatch()
  })
  await check('script', async () => {
    assert.equal(await client.eval("redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]", { keys: ['sc'], arguments: ['v'] }), 'v')
    assert.equal(await client.get('sc'), 'v')
    const own = await open({ scripts: { own: script } })
    assert.equal(await own.own('sc2', 'a'), 'a!')
    assert.equal(await own.own('sc2', 'b'), 'b!')
    await assert.rejects(client.evalSha('0'.repeat(40), { keys: [] }), /NOSCRIPT/)
    const sha = await client.scriptLoad('return {1, "two", false, {KEYS[1]}}')
    assert.deepEqual(await client.evalSha(sha, { keys: ['sc'] }), [1, 'two', null, ['sc']])
    assert.deepEqual((await client.scriptExists([sha, '0'.repeat(40)])).map(Number), [1, 0])
    await assert.rejects(client.eval("return redis.error_reply('MY own')"), /MY own/)
  })
  await check('scan', async () => {
    await client.mSet(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`scan:${i}`, 'v'])))
    assert.equal(new Set(await keys(client, { MATCH: 'scan:*', COUNT: 50 })).size, 300)
    assert.deepEqual(await keys(client, { MATCH: 'scan:29[89]' }), ['scan:298', 'scan:299'])
    assert.deepEqual((await client.keys('scan:1?')).sort(), Array.from({ length: 10 }, (_, i) => `scan:1${i}`))
    assert.equal((await keys(client, { MATCH: 's*', TYPE: 'set' })).join(), 's')
    const fields = []
    for await (const page of client.hScanIterator('h')) fields.push(...[page].flat())
    assert.deepEqual(fields.map((f) => f.field).sort(), ['a', 'c'])
    assert.ok(await client.dbSize() >= 300)
  })
  await check('pubsub', async () => {
    const own = await open()
    const got = []
    await own.subscribe('news', (message, channel) => got.push([channel, message]))
    await own.pSubscribe('ne?s', (message, channel) => got.push(['pattern', channel, message]))
    assert.equal(await client.publish('news', 'hello'), 2)
    await eventually(() => assert.deepEqual(got, [['news', 'hello'], ['pattern', 'news', 'hello']]))
    await own.unsubscribe('news')
    await own.pUnsubscribe('ne?s')
    assert.equal(await client.publish('news', 'nobody'), 0)
    assert.equal(String(await own.get('sc')), 'v') // 5 goes on with Buffer behind an unsubscribe, before Redis too
    await own.sSubscribe('shard', (message, channel) => got.push([channel, message]))
    assert.equal(await client.sPublish('shard', 'to it'), 1)
    await eventually(() => assert.deepEqual(got.at(-1), ['shard', 'to it']))
  })
  await check('blocking', async () => {
    const own = await open()
    const waiting = own.blPop('queue', 10)
    await client.rPush('queue', 'job')
    assert.deepEqual({ ...await waiting }, { key: 'queue', element: 'job' })
    const start = Date.now()
    assert.equal(await own.blPop('queue', 0.2), null)
    assert.ok(Date.now() - start >= 190, 'the timeout came too early')
  })
  await check('large', async () => {
    const large = 'x'.repeat(1 << 20)
    await client.set('large', large)
    assert.equal(await client.get('large'), large)
  })
  await check('error', async () => {
    await client.set('str', 'v')
    await assert.rejects(client.lPush('str', 'x'), (err) => err instanceof redis.ErrorReply && /^WRONGTYPE /.test(err.message))
    await assert.rejects(client.sendCommand(['NOSUCH', 'a']), /^(Simple)?Error: ERR unknown command ['`]NOSUCH['`], with args beginning with: ['`]a/)
    assert.equal(await client.get('str'), 'v')
  })
  await check('concurrent', async () => {
    const many = await Promise.all(Array.from({ length: 50 }, () => open()))
    const replies = await Promise.all(many.map(async (c, i) => {
      await c.set(`c:${i}`, String(i))
      await c.incr('c:n')
      return c.get(`c:${i}`)
    }))
    assert.deepEqual(replies, Array.from({ length: 50 }, (_, i) => String(i)))
    assert.equal(await client.get('c:n'), '50')
    await Promise.all(many.map((c) => major === 4 ? c.quit() : c.close()))
  })
  await check('reconnect', async () => {
    const own = await open()
    const again = new Promise((resolve) => own.once('reconnecting', resolve))
    assert.equal(await client.sendCommand(['CLIENT', 'KILL', 'ID', String(await own.clientId())]), 1)
    await again
    assert.equal(await own.set('r', 'v'), 'OK')
    assert.equal(await own.get('r'), 'v')
    assert.equal(await own.clientGetName(), 'matrix')
    await own.subscribe('again', () => {})
  })
}

// typed looks at what only RESP3 tells: maps, doubles, booleans and messages between replies.
async function typed(client) {
  const hello = await client.sendCommand(['HELLO'])
  const proto = Array.isArray(hello) ? hello[hello.indexOf('proto') + 1] : hello.proto
  assert.equal(proto, 3)
  await client.hSet('r3', { a: '1' })
  assert.deepEqual({ ...await client.sendCommand(['HGETALL', 'r3']) }, { a: '1' })
  await client.zAdd('r3z', { score: 1.25, value: 'm' })
  assert.equal(await client.sendCommand(['ZSCORE', 'r3z', 'm']), 1.25)
  assert.equal(await client.sendCommand(['EVAL', 'redis.setresp(3) return true', '0']), true)
  const got = []
  await client.subscribe('r3', (message) => got.push(message))
  assert.equal(await client.publish('r3', 'between replies'), 1)
  await eventually(() => assert.deepEqual(got, ['between replies']))
  assert.equal(await client.hGet('r3', 'a'), '1')
  await client.unsubscribe('r3')
}

// cached looks whether a client that answers from its own memory hears of what others write, and of the end of a key.
async function cached(writer) {
  const cache = new redis.BasicClientSideCache({ ttl: 0, maxEntries: 100, evictPolicy: 'LRU' })
  const client = await open({ RESP: 3, clientSideCache: cache })
  await writer.set('cached', 'old', { EX: 600 })
  await writer.hSet('cached-hash', 'f', 'old')
  for (let i = 0; i < 5; i++) assert.equal(await client.get('cached'), 'old')
  for (let i = 0; i < 5; i++) assert.equal(await client.hGet('cached-hash', 'f'), 'old')
  assert.ok(cache.stats().hitCount >= 5, `${cache.stats().hitCount} hits`)
  await writer.set('cached', 'new')
  await writer.hSet('cached-hash', 'f', 'new')
  await eventually(async () => assert.equal(await client.get('cached'), 'new'))
  await eventually(async () => assert.equal(await client.hGet('cached-hash', 'f'), 'new'))
  await writer.del('cached')
  await eventually(async () => assert.equal(await client.get('cached'), null))
  await writer.set('cached', 'brief')
  await eventually(async () => assert.equal(await client.get('cached'), 'brief'))
  await writer.pExpire('cached', 50)
  await eventually(async () => assert.equal(await writer.exists('cached'), 0))
  await eventually(async () => assert.equal(await client.get('cached'), null))
}

// pooled runs what a pool of connections gives out, with and without a transaction of one's own.
async function pooled() {
  const pool = redis.createClientPool({ url: env.url }, { minimum: 1, maximum: 5 })
  pool.on('error', () => {})
  await pool.connect()
  const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.set(`pool:${i}`, 'v')))
  assert.ok(replies.every((reply) => reply === 'OK'))
  const result = await pool.execute(async (client) => {
    await client.watch('pool:0')
    return client.multi().incr('pool:n').get('pool:0').exec()
  })
  assert.deepEqual(result, [1, 'v'])
  await pool.close()
}

run(async () => {
  version('redis')
  const client = await open()
  await commands(client)
  if (major === 4) {
    skip('resp3', 'speaks RESP2 only')
    skip('client-side-cache', 'came with 5')
  } else {
    await check('resp3', async () => typed(await open({ RESP: 3 })))
    await check('client-side-cache', () => cached(client))
    await check('pool', pooled)
  }
  if (major === 6) {
    await check('resp2', async () => {
      const own = await open({ RESP: 2 })
      await own.hSet('r2', { a: '1' })
      assert.deepEqual(await own.sendCommand(['HGETALL', 'r2']), ['a', '1'])
      assert.deepEqual({ ...await own.hGetAll('r2') }, { a: '1' })
    })
  }
  if (major === 4) await client.quit()
  else await client.close()
})
