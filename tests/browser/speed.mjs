// What a browser gets from tern and from another stack, in the same minutes:
//   run speed --tern PROGRAM [--other NAME=PROGRAM]... [--browser NAME]... [--road NAME]... [--rounds N] [--bytes N]
//
// Prints a JSON line for each { browser, road, stack, round, down, up }, MiB/s of one perf stream each way, after a smaller
// one that warms up. Each in a fresh browser; the stacks take turns. The page that measures comes from tern.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

import { allowLoopback, find, launch, names } from './browsers.mjs'
import { build, openLab } from './lab.mjs'
import { freePort, startTern } from './tern.mjs'

const MIB = 1 << 20
const ENDS = { webtransport: 'quic-v1/webtransport', 'webrtc-direct': 'webrtc-direct' }

const { values: options } = parseArgs({
  options: {
    tern: { type: 'string', default: 'build/release/tern' },
    other: { type: 'string', multiple: true, default: [] },
    browser: { type: 'string', multiple: true, default: names },
    road: { type: 'string', multiple: true, default: Object.keys(ENDS) },
    rounds: { type: 'string', default: '3' },
    bytes: { type: 'string', default: `${64 * MIB}` }
  }
})
const program = resolve(options.tern)
const others = options.other.map((word) => word.split('='))
const bytes = Number(options.bytes)
const scratch = await mkdtemp(join(tmpdir(), 'tern-speed-'))

try {
  const folder = build(join(scratch, 'page'))
  if (folder == null) {
    console.error('speed: the page cannot be built here')
    process.exit(3)
  }
  for (const browser of options.browser.filter((name) => find(name) != null)) {
    for (const road of options.road) {
      for (let round = 1; round <= Number(options.rounds); round++) await inTurn({ browser, road, round, folder })
    }
  }
} finally {
  await rm(scratch, { recursive: true, force: true })
}

async function inTurn ({ browser, road, round, folder }) {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const listen = `/ip4/127.0.0.1/udp/0/${ENDS[road]}`
  const tern = await startTern({
    program, port, data: join(scratch, 'data'), extra: ['--listen', listen, '--page-dir', folder, '--perf', 'on']
  })
  const leave = await allowLoopback(origin, scratch)
  const measure = async (stack, addr) => {
    const started = await launch(browser, find(browser), leave)
    try {
      const lab = await openLab(started, origin)
      await lab('reach', addr)
      await lab('perf', MIB, MIB)
      const down = await lab('perf', 0, bytes)
      const up = await lab('perf', bytes, 8)
      if (down.received !== bytes || up.received !== 8) throw new Error(`${stack}: bytes are missing`)
      const [downRate, upRate] = [down, up].map(({ seconds }) => bytes / MIB / seconds)
      console.log(JSON.stringify({ browser, road, stack, round, down: downRate, up: upRate }))
    } finally {
      await started.close()
    }
  }
  try {
    await measure('tern', tern.listening.addrs.find((it) => it.includes(`/${road}/`)))
    for (const [stack, path] of others) {
      const other = await startOther(path, listen)
      try {
        await measure(stack, other.addr)
      } finally {
        await other.stop()
      }
    }
  } finally {
    await tern.stop()
  }
}

// A peer of tests/interop that listens: { addr, stop() }.
async function startOther (path, listen) {
  const child = spawn(path, ['listen', '--listen', listen], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line)
    if (event.event === 'listening') {
      child.stdout.resume()
      return { addr: event.addrs[0], stop: async () => { child.stdin.end(); await ended } }
    }
  }
  throw new Error(`${path} does not listen`)
}
