// hapi's sessions, @hapi/yar, with @hapi/catbox-redis as the server's cache.
'use strict'

const { redis } = require('./browser.js')
const { flow } = require('./shop.js')
const { assert, check, env, eventually, run, ttl, version } = require('./tap.js')
const hapi = require('@hapi/hapi')
const { Engine } = require('@hapi/catbox-redis')

const connection = { host: env.host, port: env.port, ...(env.password && { password: env.password }) }

async function shop() {
  const server = hapi.server({
    port: 0,
    host: '127.0.0.1',
    cache: [{ name: 'sessions', provider: { constructor: Engine, options: { partition: 'hapi', ...connection } } }],
  })
  await server.register({
    plugin: require('@hapi/yar'),
    options: {
      maxCookieSize: 0, // all sessions are on the server
      storeBlank: false,
      cache: { cache: 'sessions', expiresIn: 3600000 },
      cookieOptions: { password: 'a password of more than 32 characters', isSecure: false },
    },
  })
  const routes = {
    '/login'({ yar, query }) {
      yar.reset()
      yar.set({ user: query.user, views: 0 })
      return { user: yar.get('user') }
    },
    '/me': ({ yar }) => ({ user: yar.get('user'), views: yar.get('views') ?? 0 }),
    '/view'({ yar }) {
      yar.set('views', yar.get('views') + 1)
      return { views: yar.get('views') }
    },
    '/rotate'({ yar }) {
      const user = yar.get('user')
      yar.reset()
      yar.set('user', user)
      return { user }
    },
    '/logout'({ yar }) {
      yar.reset()
      return {}
    },
  }
  for (const [path, handler] of Object.entries(routes)) server.route({ method: 'GET', path, handler })
  await server.start()
  return server.info.port
}

run(async () => {
  version('@hapi/catbox-redis')
  await flow({ port: await shop(), keys: 'hapi:*', age: 3600, refresh: '/view' })
  await check('cache', async () => {
    const engine = new Engine({ partition: 'cache', ...connection })
    await engine.start()
    const key = { segment: 'a segment', id: 'an id/☃' }
    await engine.set(key, { text: 'ünï', list: [1, null] }, 90000)
    const { item, stored, ttl: left } = await engine.get(key)
    assert.deepEqual(item, { text: 'ünï', list: [1, null] })
    assert.ok(Math.abs(Date.now() - stored) < 10000)
    assert.ok(left > 0)
    const [name] = await redis('KEYS', 'cache:*')
    ttl(await redis('TTL', name), 80, 90)
    await engine.drop(key)
    assert.equal(await engine.get(key), null)
    await engine.set(key, 'brief', 30)
    await eventually(async () => assert.equal(await redis('EXISTS', name), 0))
    assert.equal(await engine.get(key), null)
    await engine.stop()
  })
})
