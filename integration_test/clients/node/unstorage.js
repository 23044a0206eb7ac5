// unstorage, which Nuxt and Nitro keep their sessions and caches in, with its Redis driver (ioredis).
'use strict'

const { redis } = require('./browser.js')
const { assert, allBytes, check, env, noExpiry, run, ttl, version } = require('./tap.js')

run(async () => {
  version('unstorage')
  const { createStorage } = require('unstorage')
  const driver = require('unstorage/drivers/redis')
  const options = { base: 'app[1]', host: env.host, port: env.port, password: env.password }
  const storage = createStorage({ driver: driver(options) })
  await check('set-get', async () => {
    await storage.setItem('k:sub', { text: 'ünï ☃' })
    assert.deepEqual(await storage.getItem('k:sub'), { text: 'ünï ☃' })
    assert.equal(await storage.getItem('missing'), null)
    assert.equal(await storage.hasItem('k:sub'), true)
  })
  await check('binary', async () => {
    await storage.setItemRaw('bin', allBytes)
    assert.deepEqual(Buffer.from(await storage.getItemRaw('bin')), allBytes)
  })
  await check('expiry', async () => {
    noExpiry(await redis('TTL', 'app[1]:k:sub'))
    await storage.setItem('e', 'v', { ttl: 90 })
    ttl(await redis('TTL', 'app[1]:e'), 80, 90)
    const brief = createStorage({ driver: driver({ ...options, base: 'brief', ttl: 45 }) })
    await brief.setItem('k', 'v')
    ttl(await redis('TTL', 'brief:k'), 40, 45)
  })
  await check('multi-key', async () => {
    await storage.setItems([{ key: 'm:1', value: 1 }, { key: 'm:2', value: 2 }])
    assert.deepEqual(await storage.getItems(['m:1', 'm:2', 'missing']), [{ key: 'm:1', value: 1 }, { key: 'm:2', value: 2 }, { key: 'missing', value: null }])
    await storage.removeItem('m:1')
    assert.equal(await storage.hasItem('m:1'), false)
  })
  await check('scan', async () => { // the driver escapes what its base has of glob characters
    await redis('SET', 'app1:not-mine', 'v')
    for (let i = 0; i < 120; i++) await storage.setItem(`list:${i}`, i)
    assert.equal((await storage.getKeys('list')).length, 120)
    assert.ok(!(await storage.getKeys()).some((key) => key.includes('not-mine')))
  })
  await check('clear', async () => {
    await storage.clear()
    assert.deepEqual(await storage.getKeys(), [])
    assert.equal(await redis('GET', 'app1:not-mine'), 'v')
  })
})
