// express-session with connect-redis 6, 7, 9 and 10, over node-redis or ioredis.
'use strict'

const { once } = require('node:events')
const { Browser, redis } = require('./browser.js')
const { flow } = require('./shop.js')
const { assert, check, env, eventually, noExpiry, run, skip, ttl, version } = require('./tap.js')
const express = require('express')
const session = require('express-session')
const connect = require('connect-redis')

const library = process.argv[2] ?? 'redis'
const old = !connect.RedisStore && !connect.default // 6 is a function of express-session
const RedisStore = connect.RedisStore ?? connect.default ?? connect(session)

async function client() {
  const c = library === 'redis' ? require('redis').createClient({ url: env.url }) : new (require(library))(env.url)
  c.on('error', (err) => console.error(err))
  if (library === 'redis' && !old) await c.connect() // ioredis connects by itself, and so did node-redis up to 3
  return c
}

// shop serves the routes of shop.js with a store.
async function shop(store, cookie = {}) {
  const app = express()
  app.use(session({ store, secret: 'keyboard cat', resave: false, saveUninitialized: false, cookie }))
  app.get('/login', (req, res, next) => req.session.regenerate((err) => {
    if (err) return next(err)
    req.session.user = req.query.user
    req.session.views = 0
    res.json({ user: req.session.user })
  }))
  app.get('/me', (req, res) => res.json({ user: req.session.user ?? null, views: req.session.views ?? 0 }))
  app.get('/view', (req, res) => res.json({ views: ++req.session.views }))
  app.get('/rotate', (req, res, next) => {
    const { user } = req.session
    req.session.regenerate((err) => {
      if (err) return next(err)
      req.session.user = user
      res.json({ user })
    })
  })
  app.get('/logout', (req, res, next) => req.session.destroy((err) => err ? next(err) : res.clearCookie('connect.sid').json({})))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

// call has a method of the store: with a callback in 7, a promise as well since 8.
function call(store, method, ...args) {
  return new Promise((resolve, reject) => store[method](...args, (err, result) => err ? reject(err) : resolve(result)))
}

async function listing() {
  const store = new RedisStore({ client: await client(), prefix: 'list:', scanCount: 10 })
  const cookie = { originalMaxAge: 60000, expires: new Date(Date.now() + 60000).toISOString() }
  for (let i = 0; i < 250; i++) await call(store, 'set', `s${i}`, { cookie, n: i })
  assert.equal(await call(store, 'length'), 250)
  const ids = await call(store, 'ids')
  assert.deepEqual(new Set(ids), new Set(Array.from({ length: 250 }, (_, i) => `s${i}`)))
  const all = await call(store, 'all')
  assert.equal(all.length, 250)
  assert.ok(all.every((s) => s.id === `s${s.n}`))
  await call(store, 'clear')
  assert.equal(await call(store, 'length'), 0)
  assert.ok((await redis('KEYS', 'sess:*')).length > 0, 'what is not of the store must stay')
}

// visit signs in at a shop of its own, and returns the name of the key that this left in Redis.
async function visit(options, cookie) {
  const store = new RedisStore({ client: await client(), ...options })
  const port = await shop(store, cookie)
  const browser = new Browser(port)
  await browser.get('/login?user=eve')
  const names = await redis('KEYS', `${options.prefix}*`)
  assert.equal(names.length, 1)
  return { browser, name: names[0] }
}

run(async () => {
  version('connect-redis')
  await flow({ port: await shop(new RedisStore({ client: await client() })), keys: 'sess:*', age: 86400 })
  await check('listing', listing)
  await check('cookie-max-age', async () => {
    const { browser, name } = await visit({ prefix: 'short:' }, { maxAge: 90000, rolling: true })
    ttl(await redis('TTL', name), 80, 90)
    await redis('EXPIRE', name, 10)
    await browser.get('/me')
    await eventually(async () => ttl(await redis('TTL', name), 80, 90))
  })
  if (old) skip('ttl-function', 'came with 7')
  else await check('ttl-function', async () => {
    const { name } = await visit({ prefix: 'fn:', ttl: (sess) => sess.user === 'eve' ? 111 : 1 })
    ttl(await redis('TTL', name), 100, 111)
  })
  await check('ttl-number', async () => {
    const { name } = await visit({ prefix: 'num:', ttl: 222 })
    ttl(await redis('TTL', name), 210, 222)
  })
  await check('disable-touch', async () => {
    const { browser, name } = await visit({ prefix: 'still:', ttl: 500, disableTouch: true })
    await redis('EXPIRE', name, 100)
    await browser.get('/me')
    ttl(await redis('TTL', name), 90, 100)
  })
  await check('disable-ttl', async () => {
    const { name } = await visit({ prefix: 'ever:', disableTTL: true })
    noExpiry(await redis('TTL', name))
  })
  await check('past-expiry', async () => {
    const store = new RedisStore({ client: await client(), prefix: 'past:' })
    const over = { cookie: { expires: new Date(Date.now() - 5000).toISOString() } }
    for (const method of ['set', 'touch']) { // they send DEL and EXPIRE with a time below 0
      await call(store, 'set', 'x', { cookie: {}, n: 1 })
      assert.equal(await redis('EXISTS', 'past:x'), 1)
      await call(store, method, 'x', over)
      assert.equal(await redis('EXISTS', 'past:x'), 0)
    }
  })
  await check('values', async () => {
    const store = new RedisStore({ client: await client(), prefix: 'val:' })
    const value = { cookie: {}, text: 'ünï ☃ \u0000 "quotes"', nested: { list: [1, null, { deep: true }] }, large: 'x'.repeat(200000) }
    await call(store, 'set', 'v', value)
    assert.deepEqual(await call(store, 'get', 'v'), value)
    assert.equal(await call(store, 'get', 'missing') ?? null, null)
    await call(store, 'destroy', 'v')
    assert.equal(await call(store, 'get', 'v') ?? null, null)
  })
})
