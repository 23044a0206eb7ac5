// Keyv's Redis adapter by itself, and as the store of cache-manager.
'use strict'

const { redis } = require('./browser.js')
const { assert, allBytes, check, env, eventually, noExpiry, run, ttl, version } = require('./tap.js')
const { default: KeyvRedis, createKeyv } = require('@keyv/redis')
const { Keyv } = require('keyv')

async function keyv() {
  const store = new KeyvRedis(env.url)
  const cache = new Keyv({ store, namespace: 'kv', useKeyPrefix: false })
  const errors = []
  cache.on('error', (err) => errors.push(err))
  await check('set-get', async () => {
    await cache.set('k', { text: 'ünï ☃', list: [1, null] })
    assert.deepEqual(await cache.get('k'), { text: 'ünï ☃', list: [1, null] })
    assert.equal(await cache.get('missing'), undefined)
    assert.equal(await cache.has('k'), true)
    assert.equal(await cache.has('missing'), false)
  })
  await check('binary', async () => {
    await cache.set('bin', allBytes)
    assert.deepEqual(Buffer.from(await cache.get('bin')), allBytes)
  })
  await check('expiry', async () => {
    noExpiry(await redis('TTL', 'kv::k'))
    await cache.set('e', 'v', 90000)
    ttl(await redis('TTL', 'kv::e'), 80, 90)
    await cache.set('e', 'v', 30)
    await eventually(async () => assert.equal(await redis('EXISTS', 'kv::e'), 0))
    assert.equal(await cache.get('e'), undefined)
  })
  await check('multi-key', async () => {
    await cache.setMany([{ key: 'm1', value: 1, ttl: 60000 }, { key: 'm2', value: 2 }])
    assert.deepEqual(await cache.get(['m1', 'missing', 'm2']), [1, undefined, 2])
    assert.deepEqual(await cache.has(['m1', 'missing']), [true, false])
    ttl(await redis('TTL', 'kv::m1'), 50, 60)
    assert.ok(await cache.delete(['m1', 'm2']))
    assert.equal(await cache.has('m1'), false)
  })
  await check('scan', async () => {
    for (let i = 0; i < 120; i++) await cache.set(`s${i}`, i)
    const found = []
    for await (const [key] of store.iterator('kv')) found.push(key)
    assert.equal(found.filter((key) => /^s\d+$/.test(key)).length, 120)
  })
  await check('clear', async () => {
    const other = new Keyv({ store: new KeyvRedis(env.url), namespace: 'other', useKeyPrefix: false })
    await other.set('stays', 'v')
    await cache.clear()
    assert.equal(await cache.get('k'), undefined)
    assert.equal(await other.get('stays'), 'v')
  })
  await check('no-errors', async () => assert.deepEqual(errors, []))
}

async function manager() {
  const { createCache } = require('cache-manager')
  const cache = createCache({ stores: [createKeyv(env.url, { namespace: 'cm' })], ttl: 120000, refreshThreshold: 60000 })
  await check('set-get', async () => {
    await cache.set('k', { n: 1 })
    assert.deepEqual(await cache.get('k'), { n: 1 })
    const [name] = await redis('KEYS', '*k')
    ttl(await redis('TTL', name), 110, 120)
  })
  await check('wrap', async () => {
    let made = 0
    const make = () => ++made
    assert.equal(await cache.wrap('w', make, 90000), 1)
    assert.equal(await cache.wrap('w', make, 90000), 1)
    const many = await Promise.all(Array.from({ length: 20 }, () => cache.wrap('w2', make)))
    assert.deepEqual(new Set(many), new Set([2]))
    const left = await cache.ttl('w') // the adapter tells the end as Keyv wrote it into the value
    assert.ok(left > Date.now() + 60000 && left <= Date.now() + 90000, `${left}`)
  })
  await check('refresh', async () => {
    await cache.set('r', 'old', 30000)
    assert.equal(await cache.wrap('r', () => 'new', { refreshThreshold: 60000, ttl: 100000 }), 'old')
    await eventually(async () => assert.equal(await cache.get('r'), 'new'))
  })
  await check('multi-key', async () => {
    await cache.mset([{ key: 'm1', value: 1 }, { key: 'm2', value: 2, ttl: 60000 }])
    assert.deepEqual(await cache.mget(['m1', 'm2', 'missing']), [1, 2, undefined])
    await cache.mdel(['m1', 'm2'])
    assert.equal(await cache.get('m1'), undefined)
  })
  await check('clear', async () => {
    await cache.clear()
    assert.equal(await cache.get('k'), undefined)
    await cache.set('stays', 'v')
  })
}

run(async () => {
  const name = process.argv[2]
  version(name)
  await (name === '@keyv/redis' ? keyv : manager)()
})
