// AdonisJS 6 with the Redis store of @adonisjs/session, which brings ioredis. Its sessions have no prefix, and sets tell which are a user's.
'use strict'

const { createServer } = require('node:http')
const { once } = require('node:events')
const { pathToFileURL } = require('node:url')
const { Browser, redis } = require('./browser.js')
const { flow } = require('./shop.js')
const { assert, check, env, noExpiry, run, version } = require('./tap.js')

// load is import for packages that require finds (NODE_PATH).
const load = (name) => import(pathToFileURL(require.resolve(name)))

async function boot() {
  const { IgnitorFactory } = await load('@adonisjs/core/factories')
  const { defineConfig: redisConfig } = await load('@adonisjs/redis')
  const { defineConfig: sessionConfig, stores, SessionCollection } = await load('@adonisjs/session')
  const ignitor = new IgnitorFactory().withCoreProviders().withCoreConfig().merge({
    config: {
      app: { appKey: 'a key of more than 32 characters, for tests', http: (await load('@adonisjs/core/http')).defineConfig({}) },
      redis: redisConfig({ connection: 'main', connections: { main: { host: env.host, port: env.port, password: env.password } } }),
      session: sessionConfig({
        enabled: true,
        age: '1h',
        clearWithBrowser: false,
        cookie: { httpOnly: true, path: '/' },
        store: 'redis',
        stores: { redis: stores.redis({ connection: 'main' }) },
      }),
    },
    rcFileContents: {
      providers: ['@adonisjs/redis/redis_provider', '@adonisjs/session/session_provider'].map((name) => () => load(name)),
    },
  }).create(pathToFileURL(`${process.env.SCRATCH}/`), { importer: load })
  const app = ignitor.createApp('web')
  await app.init()
  await app.boot()
  const server = await app.container.make('server')
  server.errorHandler(async () => ({ default: class { report(err) { console.error(err) } handle(err, { response }) { response.status(500).send(err.message) } } }))
  server.use([() => load('@adonisjs/session/session_middleware')])
  routes(await app.container.make('router'))
  await server.boot()
  await app.start(async () => {})
  const listener = createServer(server.handle.bind(server)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return { port: listener.address().port, sessions: await app.container.make(SessionCollection) }
}

function routes(router) {
  router.get('/login', async ({ session, request }) => {
    session.regenerate()
    session.put('user', request.input('user'))
    session.put('views', 0)
    return { user: session.get('user') }
  })
  router.get('/me', ({ session }) => ({ user: session.get('user', null), views: session.get('views', 0) }))
  router.get('/view', ({ session }) => {
    session.increment('views')
    return { views: session.get('views') }
  })
  router.get('/rotate', ({ session }) => {
    session.regenerate()
    return { user: session.get('user') }
  })
  router.get('/logout', ({ session }) => {
    session.clear()
    return {}
  })
  router.get('/tag', async ({ session }) => {
    await session.tag(session.get('user'))
    return {}
  })
}

run(async () => {
  version('@adonisjs/session')
  const { port, sessions } = await boot()
  await flow({ port, keys: '*', age: 3600 })
  await check('tagged', async () => {
    const browser = new Browser(port)
    await browser.get('/login?user=eve')
    await browser.get('/tag')
    noExpiry(await redis('TTL', 'session_tag:eve'))
    const [{ id, data }, ...more] = await sessions.tagged('eve')
    assert.deepEqual(more, [])
    assert.equal(data.user, 'eve')
    await sessions.destroy(id)
    assert.equal((await browser.get('/me')).user, null)
    assert.deepEqual(await sessions.tagged('eve'), [])
  })
})
