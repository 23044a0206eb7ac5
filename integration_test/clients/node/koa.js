// koa-session and koa-generic-session, both with koa-redis, which brings ioredis 4.
'use strict'

const { once } = require('node:events')
const { flow } = require('./shop.js')
const { env, run, version } = require('./tap.js')
const Koa = require('koa')

const name = process.argv[2]
const store = () => require('koa-redis')({ host: env.host, port: env.port, password: env.password, db: 0 })

// middleware of either library, with what they call differently: a new id, and the end.
function generic(app, options) {
  app.use(require('koa-generic-session')({ store: store(), key: 'sid', ...options }))
  return {
    login: (ctx) => ctx.regenerateSession(),
    end: (ctx) => { ctx.session = null },
  }
}

function plain(app, { ttl, ...options }) {
  const session = require('koa-session')
  const create = session.createSession ?? session.default ?? session
  const middleware = create({ store: store(), key: 'sid', maxAge: ttl, rolling: true, ...options }, app)
  app.use(middleware)
  return {
    login: (ctx) => ctx.session.regenerate(),
    end: (ctx) => { ctx.session = null },
  }
}

async function shop(options) {
  const app = new Koa()
  app.keys = ['a secret']
  app.silent = true
  const { login, end } = (name === 'koa-session' ? plain : generic)(app, options)
  const routes = {
    async '/login'(ctx) {
      await login(ctx)
      ctx.session.user = ctx.query.user
      ctx.session.views = 0
      return { user: ctx.session.user }
    },
    '/me': (ctx) => ({ user: ctx.session?.user ?? null, views: ctx.session?.views ?? 0 }),
    '/view': (ctx) => ({ views: ++ctx.session.views }),
    async '/rotate'(ctx) {
      const { user } = ctx.session
      await login(ctx)
      ctx.session.user = user
      return { user }
    },
    '/logout'(ctx) {
      end(ctx)
      return {}
    },
  }
  app.use(async (ctx) => { ctx.body = await routes[ctx.path](ctx) })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

run(async () => {
  version(name)
  // koa-session gives the store 10 s more than the cookie has
  const { prefix, age } = name === 'koa-session' ? { prefix: 'koa:', age: 1210 } : { prefix: 'koa:sess:', age: 1200 }
  await flow({ port: await shop({ prefix, ttl: 1200000 }), keys: `${prefix}*`, age, refresh: '/view' })
})
