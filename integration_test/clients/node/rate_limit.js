// rate-limit-redis with express-rate-limit: two scripts, loaded when it starts, called by EVALSHA.
'use strict'

const { once } = require('node:events')
const { redis } = require('./browser.js')
const { assert, check, differs, env, run, ttl, version } = require('./tap.js')
const express = require('express')
const { rateLimit } = require('express-rate-limit')
const { RedisStore } = require('rate-limit-redis')
const { createClient } = require('redis')

run(async () => {
  version('rate-limit-redis')
  const client = createClient({ url: env.url })
  await client.connect()
  const store = new RedisStore({ sendCommand: (...args) => client.sendCommand(args) })
  const app = express()
  app.set('trust proxy', 1)
  app.use(rateLimit({ windowMs: 60000, limit: 5, standardHeaders: 'draft-8', legacyHeaders: true, store }))
  app.get('/', (req, res) => res.json({}))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const visit = (ip) => fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { 'X-Forwarded-For': ip } })

  await check('limit', async () => {
    const states = []
    for (let i = 0; i < 7; i++) states.push((await visit('192.0.2.1')).status)
    assert.deepEqual(states, [200, 200, 200, 200, 200, 429, 429])
    assert.equal((await visit('192.0.2.2')).status, 200)
  })
  await check('concurrent', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => visit('192.0.2.3')))
    assert.equal(answers.filter((a) => a.status === 200).length, 5)
    assert.equal(await redis('GET', 'rl:192.0.2.3'), '20')
  })
  await check('expiry', async () => {
    ttl(await redis('TTL', 'rl:192.0.2.2'), 50, 60)
  })
  if (env.rules) {
    await differs('window', 'under an idle timeout each hit puts the end of the window off: counters want a rule without one', async () =>
      assert.equal((await visit('192.0.2.1')).headers.get('retry-after'), '1800'))
  } else {
    await check('window', async () => ttl((await visit('192.0.2.1')).headers.get('retry-after'), 1, 60))
  }
  await check('get', async () => {
    const { totalHits, resetTime } = await store.get('192.0.2.3')
    assert.equal(totalHits, 20)
    ttl((resetTime - Date.now()) / 1000, 1, 61)
  })
  await check('decrement', async () => {
    await store.decrement('192.0.2.3')
    assert.equal((await store.get('192.0.2.3')).totalHits, 19)
  })
  await check('reset', async () => {
    await store.resetKey('192.0.2.1')
    assert.equal((await visit('192.0.2.1')).status, 200)
  })
})
