// The flow of a session that all libraries are put through: routes of a small shop, and the checks that visit them.
'use strict'

const { Browser, redis } = require('./browser.js')
const { assert, check, eventually, ttl } = require('./tap.js')

// flow visits the shop at port. Its routes answer JSON:
//   /login?user=ann    a new session id, with the user in it      {user}
//   /me                what is in the session                     {user, views}, user null when there is none
//   /view              counts a view in the session               {views}
//   /rotate            a new id for the same session              {user}
//   /logout            ends the session                           {}
// keys are the names of session keys by glob; age is the seconds that the library gives a session; refresh tells how a library
// without a touch of its own is made to write.
async function flow({ port, keys, age, refresh = '/me' }) {
  const browser = new Browser(port)
  let current
  const names = async () => (await redis('KEYS', keys)).sort()
  await check('create', async () => {
    assert.deepEqual(await browser.get('/login?user=ann'), { user: 'ann' })
    assert.equal((await names()).length, 1)
  })
  await check('read', async () => {
    assert.deepEqual(await browser.get('/me'), { user: 'ann', views: 0 })
    assert.deepEqual(await browser.get('/view'), { views: 1 })
    assert.deepEqual(await browser.get('/me'), { user: 'ann', views: 1 })
    assert.equal((await new Browser(port).get('/me')).user, null)
  })
  await check('expiry', async () => {
    const [name] = await names()
    ttl(await redis('TTL', name), age - 5, age)
  })
  await check('refresh', async () => {
    const [name] = await names()
    assert.equal(await redis('EXPIRE', name, 5), 1)
    await browser.get(refresh)
    await eventually(async () => ttl(await redis('TTL', name), age - 5, age))
    assert.ok(await redis('TTL', name) > 5, 'a request does not refresh the session')
  })
  await check('rotate', async () => {
    const [before] = await names()
    const thief = browser.copy()
    assert.deepEqual(await browser.get('/rotate'), { user: 'ann' })
    const [after, ...more] = await names()
    assert.notEqual(after, before)
    assert.deepEqual(more, [])
    current = after
    assert.equal((await thief.get('/me')).user, null)
    assert.equal((await browser.get('/me')).user, 'ann')
  })
  await check('parallel', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => browser.copy().get('/me')))
    assert.ok(answers.every((answer) => answer.user === 'ann'))
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, async (_, i) => {
      const other = new Browser(port)
      await other.get(`/login?user=user${i}`)
      return (await other.get('/me')).user
    })), Array.from({ length: 20 }, (_, i) => `user${i}`))
  })
  await check('logout', async () => {
    const thief = browser.copy()
    assert.equal(await redis('EXISTS', current), 1)
    await browser.get('/logout')
    await eventually(async () => assert.equal(await redis('EXISTS', current), 0))
    assert.equal((await thief.get('/me')).user, null)
    assert.equal((await browser.get('/me')).user, null)
  })
  await check('ended', async () => {
    const other = new Browser(port)
    await other.get('/login?user=bob')
    for (const name of await names()) await redis('DEL', name) // as an administrator ends all sessions
    assert.equal((await other.get('/me')).user, null)
    await other.get('/login?user=bob')
    assert.equal((await other.get('/me')).user, 'bob')
  })
}

module.exports = { flow }
