// Redlock: locks by scripts, with an expiry in milliseconds. In mode rules their rule has a maximum, and no idle timeout that would prolong them.
'use strict'

const { redis } = require('./browser.js')
const { assert, check, env, eventually, run, version } = require('./tap.js')
const Redlock = require('redlock')
const Redis = require('ioredis')

run(async () => {
  version('redlock')
  const client = new Redis(env.url)
  const locks = new Redlock([client], { retryCount: 100, retryDelay: 20 })
  const hasty = new Redlock([client], { retryCount: 0 })
  await check('lock', async () => {
    const lock = await locks.lock('job:lock', 60000)
    const left = await redis('PTTL', 'job:lock')
    assert.ok(left > 50000 && left <= 60000, `${left} ms`)
    await assert.rejects(hasty.lock('job:lock', 1000), { name: 'LockError' })
    await lock.unlock()
    assert.equal(await redis('EXISTS', 'job:lock'), 0)
  })
  await check('expiry', async () => {
    await hasty.lock('brief:lock', 50)
    await eventually(async () => assert.equal(await redis('EXISTS', 'brief:lock'), 0))
    await (await hasty.lock('brief:lock', 1000)).unlock()
  })
  await check('read', async () => { // who looks at a lock must not prolong it
    const lock = await hasty.lock('seen:lock', 5000)
    assert.equal(await redis('GET', 'seen:lock'), lock.value)
    const left = await redis('PTTL', 'seen:lock')
    assert.ok(left > 0 && left <= 5000, `${left} ms`)
  })
  await check('extend', async () => {
    const lock = await locks.lock('long:lock', 5000)
    const longer = await lock.extend(90000)
    const left = await redis('PTTL', 'long:lock')
    assert.ok(left > 80000 && left <= 90000, `${left} ms`)
    await longer.unlock()
  })
  await check('foreign', async () => {
    const lock = await locks.lock('stolen:lock', 30000)
    await redis('SET', 'stolen:lock', 'someone else', 'PX', 30000)
    await assert.rejects(lock.unlock(), { name: 'LockError' })
    await assert.rejects(lock.extend(1000), { name: 'LockError' })
    assert.equal(await redis('GET', 'stolen:lock'), 'someone else')
  })
  await check('several', async () => {
    const lock = await locks.lock(['a:lock', 'b:lock'], 30000)
    await assert.rejects(hasty.lock(['b:lock', 'c:lock'], 1000), { name: 'LockError' })
    assert.equal(await redis('EXISTS', 'c:lock'), 0)
    await lock.unlock()
  })
  await check('concurrent', async () => {
    let inside = 0
    let most = 0
    await Promise.all(Array.from({ length: 20 }, async () => {
      const lock = await locks.lock('crowd:lock', 5000)
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setTimeout(resolve, 5))
      inside--
      await lock.unlock()
    }))
    assert.equal(most, 1)
  })
})
