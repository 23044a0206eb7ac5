// A browser for the session libraries: fetch with cookies, and a look at what is in Redis.
'use strict'

const net = require('node:net')
const { env } = require('./tap.js')

class Browser {
  constructor(port) {
    this.base = `http://127.0.0.1:${port}`
    this.cookies = new Map()
  }

  // get returns the JSON of a path, and keeps cookies as a browser does: those that end are gone.
  async get(path) {
    const response = await fetch(this.base + path, {
      headers: { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(/; */)
      const at = pair.indexOf('=')
      const over = attributes.some((a) => /^expires=/i.test(a) && new Date(a.slice(8)) <= new Date() || /^max-age=0$/i.test(a))
      if (over || at === pair.length - 1) this.cookies.delete(pair.slice(0, at))
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
    const text = await response.text()
    if (response.status >= 400) throw new Error(`${path}: ${response.status} ${text.slice(0, 200)}`)
    return text && JSON.parse(text)
  }

  // copy is another browser with the same cookies, as a thief or a second tab has them.
  copy() {
    const other = new Browser(new URL(this.base).port)
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    return other
  }
}

// redis sends one command on a connection of its own, in the plainest way there is, so that what a library sees is compared with
// something else. It returns a string, a number, null or an array of these.
function redis(...args) {
  const auth = env.password ? encode(['AUTH', env.password]) : ''
  return new Promise((resolve, reject) => {
    const socket = net.connect(env.port, env.host)
    let data = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
    socket.on('data', (more) => {
      data = Buffer.concat([data, more])
      let reply = decode(data, 0)
      if (reply && auth) reply = decode(data, reply.end)
      if (!reply) return
      socket.destroy()
      if (reply.value instanceof Error) reject(reply.value)
      else resolve(reply.value)
    })
    socket.write(auth + encode(args))
  })
}

function encode(args) {
  return `*${args.length}\r\n` + args.map((a) => `$${Buffer.byteLength(String(a))}\r\n${a}\r\n`).join('')
}

// decode returns undefined when the reply is not all there.
function decode(data, at) {
  const eol = data.indexOf('\r\n', at)
  if (eol < 0) return undefined
  const line = data.toString('utf8', at + 1, eol)
  let end = eol + 2
  switch (String.fromCharCode(data[at])) {
    case '+': return { value: line, end }
    case '-': return { value: new Error(line), end }
    case ':': return { value: Number(line), end }
    case '$': {
      const length = Number(line)
      if (length < 0) return { value: null, end }
      return data.length < end + length + 2 ? undefined : { value: data.toString('utf8', end, end + length), end: end + length + 2 }
    }
    case '*': {
      const value = []
      for (let i = 0; i < Number(line); i++) {
        const element = decode(data, end)
        if (!element) return undefined
        value.push(element.value)
        end = element.end
      }
      return { value, end }
    }
    default: throw new Error(`unexpected reply ${line}`)
  }
}

module.exports = { Browser, redis }
