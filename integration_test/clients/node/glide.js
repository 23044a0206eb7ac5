// Valkey GLIDE: a client in Rust that speaks RESP3 over one connection, and asks INFO REPLICATION when it connects.
'use strict'

const { assert, allBytes, check, env, eventually, noExpiry, run, ttl, version } = require('./tap.js')
const glide = require('@valkey/valkey-glide')

const bytes = { decoder: glide.Decoder.Bytes }

function open(options = {}) {
  return glide.GlideClient.createClient({
    addresses: [{ host: env.host, port: env.port }],
    credentials: env.password && { password: env.password },
    clientName: 'matrix',
    requestTimeout: 5000,
    ...options,
  })
}

async function collect(client, options) {
  const found = new Set()
  let cursor = '0'
  do {
    const [next, page] = await client.scan(cursor, options)
    page.forEach((key) => found.add(key))
    cursor = next
  } while (cursor !== '0')
  return [...found].sort()
}

const fields = (entries) => Object.fromEntries(entries.map((e) => [e.field ?? e.key, e.value]))

async function commands(client) {
  await check('connect', async () => {
    assert.equal(await client.ping(), 'PONG')
    assert.equal(await client.clientGetName(), 'matrix')
    const other = await open({ databaseId: 1 })
    await other.set('db', '1', { expiry: { type: glide.TimeUnit.Seconds, count: 60 } })
    assert.equal(await other.get('db'), '1')
    assert.equal(await client.get('db'), null)
    other.close()
    if (env.password) await assert.rejects(open({ credentials: { password: 'wrong' } }), /WRONGPASS|AuthenticationFailed|authentication/i)
  })
  await check('set-get', async () => {
    assert.equal(await client.set('k', 'v'), 'OK')
    assert.equal(await client.get('k'), 'v')
    assert.equal(await client.get('missing'), null)
    assert.equal(await client.set('k', 'w', { conditionalSet: 'onlyIfDoesNotExist' }), null)
    assert.equal(await client.set('k', 'w', { conditionalSet: 'onlyIfExists', returnOldValue: true }), 'v')
    await client.set('ключ ☃', 'значение')
    assert.equal(await client.get('ключ ☃'), 'значение')
    assert.equal(await client.getdel('k'), 'w')
    assert.equal(await client.exists(['k']), 0)
  })
  await check('binary', async () => {
    await client.set('bin', allBytes)
    assert.deepEqual(await client.get('bin', bytes), allBytes)
    await client.set('bin', '')
    assert.equal(await client.get('bin'), '')
    await client.set(allBytes, 'key')
    assert.equal(await client.get(allBytes), 'key')
  })
  await check('expiry', async () => {
    await client.set('e', 'v', { expiry: { type: glide.TimeUnit.Seconds, count: 100 } })
    ttl(await client.ttl('e'), 1, 100)
    assert.equal(await client.expire('e', 200), true)
    ttl(await client.ttl('e'), 101, 200)
    ttl(await client.pttl('e') / 1000, 101, 200)
    ttl(await client.expiretime('e') - Date.now() / 1000, 101, 202)
    assert.equal(await client.persist('e'), true)
    noExpiry(await client.ttl('e'))
    assert.equal(await client.getex('e', { expiry: { type: glide.TimeUnit.Seconds, duration: 300 } }), 'v')
    ttl(await client.ttl('e'), 201, 300)
    await client.set('e', 'x', { expiry: 'keepExisting' })
    ttl(await client.ttl('e'), 201, 300)
    assert.equal(await client.expire('e', -1), true)
    assert.equal(await client.ttl('e'), -2)
    await client.set('e', 'v', { expiry: { type: glide.TimeUnit.Milliseconds, count: 30 } })
    await eventually(async () => assert.equal(await client.exists(['e']), 0)) // EXISTS, as a read would put an idle timeout back
    assert.equal(await client.get('e'), null)
  })
  await check('hash', async () => {
    assert.equal(await client.hset('h', { a: '1', b: '2', c: '' }), 3)
    assert.deepEqual(fields(await client.hgetall('h')), { a: '1', b: '2', c: '' })
    assert.deepEqual(await client.hmget('h', ['a', 'missing', 'c']), ['1', null, ''])
    assert.equal(await client.hincrBy('h', 'a', 5), 6)
    assert.equal(await client.hincrByFloat('h', 'a', 0.5), 6.5)
    assert.equal(await client.hdel('h', ['b', 'missing']), 1)
    assert.deepEqual(fields(await client.hgetall('missing')), {})
  })
  await check('counter', async () => {
    assert.equal(await client.incr('n'), 1)
    assert.equal(await client.incrBy('n', 41), 42)
    assert.equal(await client.decr('n'), 41)
    assert.equal(await client.incrByFloat('n', 0.5), 41.5)
  })
  await check('multi-key', async () => {
    assert.equal(await client.mset({ m1: 'a', m2: 'b', m3: 'c' }), 'OK')
    assert.deepEqual(await client.mget(['m1', 'missing', 'm3']), ['a', null, 'c'])
    assert.equal(await client.msetnx({ m1: 'x', m4: 'y' }), false)
    assert.equal(await client.exists(['m1', 'm2', 'm4']), 2)
    assert.equal(await client.del(['m1', 'm2', 'missing']), 2)
    assert.equal(await client.unlink(['m3']), 1)
    noExpiry(await client.ttl('n'))
  })
  await check('list-set', async () => {
    assert.equal(await client.rpush('l', ['a', 'b', 'c']), 3)
    assert.deepEqual(await client.lrange('l', 0, -1), ['a', 'b', 'c'])
    assert.equal(await client.lpop('l'), 'a')
    assert.equal(await client.lmove('l', 'l2', glide.ListDirection.LEFT, glide.ListDirection.RIGHT), 'b')
    assert.equal(await client.sadd('s', ['x', 'y', 'x']), 2)
    assert.deepEqual([...await client.smembers('s')].sort(), ['x', 'y'])
    assert.deepEqual(await client.smismember('s', ['x', 'z']), [true, false])
    assert.equal(await client.zadd('z', { one: 1.5, two: 2 }), 2)
    assert.deepEqual(await client.zrangeWithScores('z', { start: 0, end: -1 }), [{ element: 'one', score: 1.5 }, { element: 'two', score: 2 }])
    const id = await client.xadd('x', [['f', 'v']])
    assert.deepEqual(await client.xrange('x', { value: id }, { value: id }), { [id]: [['f', 'v']] })
  })
  await check('pipeline', async () => {
    const batch = new glide.Batch(false)
    for (let i = 0; i < 500; i++) batch.set(`p:${i}`, String(i)).get(`p:${i}`)
    const replies = await client.exec(batch, true)
    assert.equal(replies.length, 1000)
    replies.forEach((reply, i) => assert.equal(reply, i % 2 ? String(i >> 1) : 'OK'))
    const mixed = await client.exec(new glide.Batch(false).set('p:s', 'v').lpush('p:s', ['x']).get('p:s'), false)
    assert.ok(mixed[1] instanceof glide.RequestError)
    assert.deepEqual([mixed[0], mixed[2]], ['OK', 'v'])
  })
  await check('transaction', async () => {
    const replies = await client.exec(new glide.Batch(true).set('t', '1').incr('t').get('t').hset('t-hash', { f: 'v' }).expire('t', 90).ttl('t'), true)
    assert.deepEqual(replies.slice(0, 5), ['OK', 2, '2', 1, true])
    ttl(replies[5], 1, 90)
    assert.equal(replies.length, 6)
    await assert.rejects(client.exec(new glide.Batch(true).set('t', 'x').customCommand(['NOSUCH']), true))
    assert.equal(await client.get('t'), '2')
  })
  await check('watch', async () => {
    const own = await open()
    await own.watch(['w'])
    await client.set('w', 'foreign')
    assert.equal(await own.exec(new glide.Batch(true).set('w', 'mine'), true), null)
    assert.equal(await client.get('w'), 'foreign')
    await own.watch(['w'])
    assert.deepEqual(await own.exec(new glide.Batch(true).set('w', 'mine').get('w'), true), ['OK', 'mine'])
    own.close()
  })
  await check('script', async () => {
    const script = new glide.Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1]) .. '!'")
    assert.equal(await client.invokeScript(script, { keys: ['sc'], args: ['a'] }), 'a!')
    assert.equal(await client.invokeScript(script, { keys: ['sc'], args: ['b'] }), 'b!')
    assert.deepEqual(await client.scriptExists([script.getHash(), '0'.repeat(40)]), [true, false])
    assert.equal(await client.customCommand(['EVAL', 'return #KEYS + #ARGV', '1', 'sc', 'x']), 2)
    await assert.rejects(client.customCommand(['EVALSHA', '0'.repeat(40), '0']), /NOSCRIPT|NoScript/)
    await assert.rejects(client.customCommand(['EVAL', "return redis.error_reply('MY own')", '0']), /own/)
  })
  await check('scan', async () => {
    await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`scan:${i}`, 'v'])))
    assert.equal((await collect(client, { match: 'scan:*', count: 50 })).length, 300)
    assert.deepEqual(await collect(client, { match: 'scan:29[89]' }), ['scan:298', 'scan:299'])
    assert.deepEqual(await collect(client, { match: 's*', type: glide.ObjectType.SET }), ['s'])
    assert.deepEqual((await client.hscan('h', '0', { match: 'a' }))[1], ['a', '6.5'])
    assert.ok(await client.dbsize() >= 300)
  })
  await check('pubsub', async () => {
    const got = []
    const own = await open({
      pubsubSubscriptions: {
        channelsAndPatterns: {
          [glide.GlideClientConfiguration.PubSubChannelModes.Exact]: new Set(['news']),
          [glide.GlideClientConfiguration.PubSubChannelModes.Pattern]: new Set(['ne?s']),
        },
        callback: (message) => got.push([message.channel, message.pattern ?? '', message.message]),
      },
    })
    await eventually(async () => assert.deepEqual((await client.pubsubNumSub(['news'])).map((n) => n.numSub), [1]))
    await eventually(async () => assert.equal(await client.pubsubNumPat(), 1))
    assert.equal(await client.publish('hello', 'news'), 2)
    await eventually(() => assert.deepEqual(got.sort(), [['news', '', 'hello'], ['news', 'ne?s', 'hello']]))
    assert.equal(await own.get('sc'), 'b')
    await own.subscribe(['later'], 5000)
    assert.equal(await client.publish('to it', 'later'), 1)
    await eventually(() => assert.deepEqual(got.find(([channel]) => channel === 'later'), ['later', '', 'to it']))
    await own.unsubscribe(['later', 'news'], 5000)
    await own.punsubscribe(['ne?s'], 5000)
    assert.equal(await client.publish('nobody', 'news'), 0)
    own.close()
  })
  await check('blocking', async () => {
    const own = await open()
    const waiting = own.blpop(['queue'], 4)
    await client.rpush('queue', ['job'])
    assert.deepEqual(await waiting, ['queue', 'job'])
    const start = Date.now()
    assert.equal(await own.blpop(['queue'], 0.2), null)
    assert.ok(Date.now() - start >= 190, 'the timeout came too early')
    own.close()
  })
  await check('large', async () => {
    const large = 'x'.repeat(1 << 20)
    await client.set('large', large)
    assert.equal(await client.get('large'), large)
  })
  await check('error', async () => {
    await client.set('str', 'v')
    await assert.rejects(client.lpush('str', ['x']), (err) => err instanceof glide.RequestError && /WRONGTYPE/.test(err.message))
    await assert.rejects(client.customCommand(['NOSUCH', 'a']), /unknown command ['`]NOSUCH['`], with args beginning with: ['`]a/)
    assert.equal(await client.get('str'), 'v')
  })
  await check('resp3', async () => {
    const hello = fields(await client.customCommand(['HELLO']))
    assert.equal(hello.proto, 3)
    assert.equal(await client.zscore('z', 'one'), 1.5)
    assert.equal(await client.customCommand(['EVAL', 'redis.setresp(3) return true', '0']), true)
    assert.match(await client.info([glide.InfoOptions.Replication]), /role:master/)
  })
  await check('resp2', async () => {
    const own = await open({ protocol: glide.ProtocolVersion.RESP2 })
    assert.deepEqual(fields(await own.hgetall('h')), { a: '6.5', c: '' })
    own.close()
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
    many.forEach((c) => c.close())
  })
  await check('reconnect', async () => {
    const own = await open()
    assert.equal(await client.customCommand(['CLIENT', 'KILL', 'ID', String(await own.clientId())]), 1)
    await eventually(async () => assert.equal(await own.set('r', 'v'), 'OK')) // the command that meets the end may fail
    assert.equal(await own.get('r'), 'v')
    assert.equal(await own.clientGetName(), 'matrix')
    own.close()
  })
}

// cached looks whether a client that answers from its own memory hears of what others write: it asks for CLIENT TRACKING ON BCAST.
async function cached(writer) {
  const cache = new glide.ClientSideCache({ maxCacheKb: 1024, entryTtlMs: 0, enableMetrics: true, serverAssisted: true })
  const client = await open({ clientSideCache: cache })
  await writer.set('cached', 'old')
  await eventually(async () => assert.equal(await client.get('cached'), 'old'))
  for (let i = 0; i < 10; i++) assert.equal(await client.get('cached'), 'old')
  assert.ok(await client.getCacheHitRate() > 0.5, `a rate of ${await client.getCacheHitRate()}`)
  await writer.set('cached', 'new')
  await eventually(async () => assert.equal(await client.get('cached'), 'new'))
  await writer.del(['cached'])
  await eventually(async () => assert.equal(await client.get('cached'), null))
  client.close()
}

run(async () => {
  version('@valkey/valkey-glide')
  glide.Logger.init('off')
  const client = await open()
  await commands(client)
  await check('client-side-cache', () => cached(client))
  client.close()
})
