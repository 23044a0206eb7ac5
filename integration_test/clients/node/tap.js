// What the programs share: TAP output, and what the matrix tells them by the environment.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')

const env = {
  host: process.env.REDIS_HOST,
  port: Number(process.env.REDIS_PORT),
  password: process.env.REDIS_PASSWORD || undefined,
  url: process.env.REDIS_URL,
  rules: process.env.MODE === 'rules',
}

let count = 0
let failed = false

// version prints the version of the package under test, from its own package.json: most don't export it.
function version(name) {
  const dir = require.resolve.paths(name).find((dir) => fs.existsSync(path.join(dir, name, 'package.json')))
  console.log(`# version ${JSON.parse(fs.readFileSync(path.join(dir, name, 'package.json'))).version}`)
}

// check runs f and prints its outcome. A check that does not end in 15 s has failed: the next ones may still tell something.
// Where a difference from Redis is known, f checks that it is just that one, and known says what it is.
async function check(name, f, known) {
  count++
  let timer
  try {
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('no end after 15 s')), 15000) })
    await Promise.race([f(), late])
    console.log(known ? `not ok - ${name}: ${known} # TODO see README` : `ok - ${name}`)
  } catch (err) {
    failed = true
    console.log(`not ok - ${name}: ${String(err && err.message || err).replace(/\s+/g, ' ').slice(0, 500)}`)
  } finally {
    clearTimeout(timer)
  }
}

// differs is check for a known difference.
function differs(name, known, f) {
  return check(name, f, known)
}

function skip(name, why) {
  count++
  console.log(`ok - ${name} # SKIP ${why}`)
}

// done prints the plan and ends the process, whatever connections are still open.
function done() {
  console.log(`1..${count}`)
  process.exit(failed ? 1 : 0)
}

// run is a program: what fails outside of a check ends it without a plan, which the matrix notices.
function run(program) {
  program().then(done, (err) => {
    console.error(err)
    process.exit(1)
  })
}

// ttl checks a TTL in seconds: within low, less some seconds that a slow machine takes, and high, or in mode rules within what the rules allow.
function ttl(actual, low, high) {
  actual = Number(actual)
  if (low > 0) low = Math.max(1, low - 15)
  if (env.rules) [low, high] = [1, 43200]
  assert.ok(actual >= low && actual <= high, `a TTL of ${actual} s is not within ${low} and ${high}`)
}

// noExpiry checks the TTL of a key that Redis by itself would keep for ever.
function noExpiry(actual) {
  ttl(actual, -1, -1)
}

// eventually waits for what happens on another connection.
async function eventually(f) {
  for (let tries = 0; ; tries++) {
    try {
      return await f()
    } catch (err) {
      if (tries === 100) throw err
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

module.exports = { assert, allBytes, check, differs, done, env, eventually, noExpiry, run, skip, ttl, version }
