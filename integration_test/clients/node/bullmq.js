// BullMQ, no session store but the hardest of all users: some sixty scripts, blocking commands, streams, hashes and sorted sets.
'use strict'

const { once } = require('node:events')
const { redis } = require('./browser.js')
const { assert, check, differs, env, eventually, run, version } = require('./tap.js')
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq')

const connection = { host: env.host, port: env.port, password: env.password }

// Its scripts make names of keys from their arguments. In a namespace these stay as they are, and so are outside of it.
async function refused() {
  const queue = new Queue('mail', { connection })
  queue.on('error', () => {})
  await differs('job', 'its scripts write keys that they do not declare, which is refused in a namespace', async () => {
    await assert.rejects(queue.add('send', {}), /DENIED script: it writes "bull:mail:1", which is not among its KEYS/)
    assert.deepEqual(await redis('KEYS', 'bull:mail:1'), [])
  })
}

run(async () => {
  version('bullmq')
  if (env.rules) return refused()
  const queue = new Queue('mail', { connection })
  const events = new QueueEvents('mail', { connection })
  queue.setMaxListeners(100) // 50 wait for their jobs at once
  queue.on('error', () => {})
  events.on('error', () => {})
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()])
  const worker = new Worker('mail', async (job) => {
    if (job.name === 'fail' && job.attemptsMade === 0) throw new Error('once')
    await job.updateProgress(50)
    return { to: job.data.to, done: true }
  }, { connection, concurrency: 5 })
  worker.on('error', () => {})
  await check('job', async () => {
    const job = await queue.add('send', { to: 'ünï' })
    assert.deepEqual(await job.waitUntilFinished(events, 10000), { to: 'ünï', done: true })
    assert.equal(await job.getState(), 'completed')
    assert.equal((await queue.getJob(job.id)).progress, 50)
  })
  await check('many', async () => {
    const jobs = await queue.addBulk(Array.from({ length: 50 }, (_, i) => ({ name: 'send', data: { to: i } })))
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10000)))
    assert.deepEqual(results.map((r) => r.to), Array.from({ length: 50 }, (_, i) => i))
  })
  await check('retry', async () => {
    const job = await queue.add('fail', { to: 'x' }, { attempts: 2, backoff: { type: 'fixed', delay: 100 } })
    assert.equal((await job.waitUntilFinished(events, 10000)).done, true)
    assert.equal((await queue.getJob(job.id)).attemptsMade, 2)
  })
  await check('delay', async () => {
    const start = Date.now()
    const job = await queue.add('send', { to: 'later' }, { delay: 300 })
    assert.equal(await job.getState(), 'delayed')
    await job.waitUntilFinished(events, 10000)
    assert.ok(Date.now() - start >= 300)
  })
  await check('priority', async () => {
    const jobs = await Promise.all([3, 1, 2].map((priority) => queue.add('send', { to: priority }, { priority })))
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10000)))
  })
  await check('unique', async () => {
    const one = await queue.add('send', { to: 'a' }, { jobId: 'only-one', delay: 60000 })
    await queue.add('send', { to: 'b' }, { jobId: 'only-one', delay: 60000 })
    assert.equal((await queue.getJob('only-one')).data.to, 'a')
    await one.remove()
    assert.equal(await queue.getJob('only-one'), undefined)
  })
  await check('flow', async () => {
    const flow = new FlowProducer({ connection })
    flow.on('error', () => {})
    const tree = await flow.add({
      name: 'send', queueName: 'mail', data: { to: 'parent' },
      children: [1, 2].map((to) => ({ name: 'send', queueName: 'mail', data: { to } })),
    })
    await tree.job.waitUntilFinished(events, 10000)
    assert.equal(Object.keys(await tree.job.getChildrenValues()).length, 2)
    await flow.close()
  })
  await check('scheduler', async () => {
    const done = once(worker, 'completed')
    await queue.upsertJobScheduler('each', { every: 200, limit: 2 }, { name: 'send', data: { to: 'again' } })
    await done
    await queue.removeJobScheduler('each')
  })
  await check('pause', async () => {
    await queue.pause()
    assert.equal(await queue.isPaused(), true)
    const job = await queue.add('send', { to: 'waits' })
    assert.equal(await queue.getWaitingCount() + await queue.getJobCountByTypes('paused'), 1)
    await queue.resume()
    await job.waitUntilFinished(events, 10000)
  })
  await check('counts', async () => {
    await eventually(async () => assert.equal((await queue.getJobCounts()).active, 0))
    assert.ok((await queue.getJobCounts()).completed >= 58)
    assert.ok((await queue.getCompleted(0, 9)).length === 10)
    assert.ok((await redis('XLEN', 'bull:mail:events')) > 0)
  })
  await check('clean', async () => {
    assert.ok((await queue.clean(0, 1000, 'completed')).length > 0)
    await worker.close()
    await queue.obliterate({ force: true })
    assert.deepEqual(await redis('KEYS', 'bull:mail:*:*'), [])
  })
})
