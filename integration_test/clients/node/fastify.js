// @fastify/session with connect-redis as its store, over node-redis, or over the ioredis of @fastify/redis.
'use strict'

const { Browser, redis } = require('./browser.js')
const { flow } = require('./shop.js')
const { assert, check, env, run, ttl, version } = require('./tap.js')
const connect = require('connect-redis')
const Fastify = require('fastify')

const RedisStore = connect.RedisStore ?? connect.default

async function connected(app) {
  if (process.argv[2] === '@fastify/redis') {
    await app.register(require('@fastify/redis'), { url: env.url })
    return app.redis
  }
  const client = require('redis').createClient({ url: env.url })
  client.on('error', (err) => console.error(err))
  return client.connect()
}

async function shop(prefix, options) {
  const app = Fastify()
  const client = await connected(app)
  await app.register(require('@fastify/cookie'))
  await app.register(require('@fastify/session'), {
    store: new RedisStore({ client, prefix }),
    secret: 'a secret with a minimum length of 32 characters',
    saveUninitialized: false,
    ...options,
  })
  app.get('/login', async (request) => {
    await request.session.regenerate()
    request.session.user = request.query.user
    request.session.views = 0
    return { user: request.session.user }
  })
  app.get('/me', async ({ session }) => ({ user: session.user ?? null, views: session.views ?? 0 }))
  app.get('/view', async ({ session }) => ({ views: ++session.views }))
  app.get('/rotate', async (request) => {
    const id = request.session.sessionId
    await request.session.regenerate(['user'])
    await new Promise((resolve) => request.sessionStore.destroy(id, resolve)) // regenerate leaves the old one
    return { user: request.session.user }
  })
  app.get('/logout', async (request) => {
    await request.session.destroy()
    return {}
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server.address().port
}

run(async () => {
  version('@fastify/session')
  await flow({ port: await shop('sess:', { cookie: { secure: false, maxAge: 3600000 } }), keys: 'sess:*', age: 3600 })
  await check('browser-session', async () => {
    const browser = new Browser(await shop('nomax:', { cookie: { secure: false } }))
    await browser.get('/login?user=eve')
    const [name] = await redis('KEYS', 'nomax:*')
    ttl(await redis('TTL', name), 86395, 86400) // connect-redis's own default, as the cookie has no end
    assert.equal((await browser.get('/me')).user, 'eve')
  })
  await check('not-rolling', async () => {
    const browser = new Browser(await shop('still:', { rolling: false, cookie: { secure: false, maxAge: 3600000 } }))
    await browser.get('/login?user=eve')
    const [name] = await redis('KEYS', 'still:*')
    await redis('EXPIRE', name, 600)
    assert.equal((await browser.get('/me')).user, 'eve')
    ttl(await redis('TTL', name), 590, 3600)
  })
})
