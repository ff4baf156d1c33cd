// Starts and stops `tern run --json` and collects its events.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

const START = 15_000 // ms
const STOP = 10_000 // ms

// A TCP port nobody listens on: the page needs raw and WebSocket on the same one.
export async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

// Starts a node and waits until it listens; `ends` are those of its addresses. Gives { listening, event(test),
// says(text), alone(limit), stop() }: the event `listening`; promises of the first event, past or coming, that
// passes the test, of a line in its log, and of the end of all its connections; the orderly end.
export async function startTern ({ program, port, data, extra = [], ends = ['', '/ws'] }) {
  const listen = ends.flatMap((end) => ['--listen', `/ip4/127.0.0.1/tcp/${port}${end}`])
  const child = spawn(program, ['run', '--json', ...listen, '--data', data, ...extra], { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `status ${code}`}`))
    child.once('error', (err) => resolve(err.message))
  })
  const events = []
  const waiting = new Set()
  const log = [] // lines

  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line)
    for (const look of waiting) look()
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(parse(line))
    for (const look of waiting) look()
  })

  const first = (find, what, limit) => new Promise((resolve, reject) => {
    const look = () => {
      const found = find()
      if (found != null) settle(resolve, found)
    }
    const fail = (why) => settle(reject, new Error(`${program}: ${why} before ${what}\n${log.slice(-40).join('\n')}`))
    const timer = setTimeout(() => fail(`${limit / 1000} s went by`), limit)
    const settle = (how, value) => {
      clearTimeout(timer)
      waiting.delete(look)
      how(value)
    }
    waiting.add(look)
    ended.then(fail)
    look()
  })
  const event = (wanted, limit = START) => first(() => events.find(wanted), 'the expected event', limit)
  const says = (text, limit = START) => { // from now on, in its log
    const from = log.length
    return first(() => log.slice(from).find((line) => line.includes(text)), `it said '${text}'`, limit)
  }

  // Every connection that it told of has ended.
  const alone = (limit) => first(() => {
    const count = (kind) => events.filter((it) => it.event === kind).length
    return count('connected') === count('disconnected') || null
  }, 'every connection ended', limit)

  const stop = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP)
    await ended
    clearTimeout(timer)
  }

  try {
    return { listening: await event((it) => it.event === 'listening'), event, says, alone, stop }
  } catch (err) {
    await stop()
    throw err
  }
}

function parse (line) {
  try {
    return JSON.parse(line)
  } catch {
    return { event: 'malformed', line }
  }
}
