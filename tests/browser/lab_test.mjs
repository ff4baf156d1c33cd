// What a browser does over WebTransport and WebRTC Direct, beyond the page: a thousand pings, bytes both ways, streams by the
// hundred, and the ends that nobody announces. The bytes, streams and connections are counted at both sides.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { allowLoopback, launch } from './browsers.mjs'
import { open, stateIs } from './document.mjs'
import { skip, test } from './tap.mjs'
import { freePort, startTern } from './tern.mjs'

const WEB = fileURLToPath(new URL('../../web/', import.meta.url))
const LAB = fileURLToPath(new URL('lab', import.meta.url))
const PINGS = 1_000
const MIB = 1 << 20
const PERF = 32 * MIB
const STREAMS = 100
const FORBID_FIRST = ['--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/']
const GONE = 60_000 // ms until a node that heard nothing has given a browser up: 30 s, on both roads

const ROADS = [
  { road: 'webtransport', ends: 'quic-v1/webtransport', works: [{ rounds: 50 }] },
  { road: 'webrtc-direct', ends: 'webrtc-direct', works: [{ scheme: 1, rounds: 50 }, { scheme: 2, rounds: 50, options: { args: FORBID_FIRST } }] }
]

export async function testLab (name, setup) {
  for (const road of ROADS) await testRoad(name, setup, road)
}

async function testRoad (name, { path, program, scratch }, { road, ends, works }) {
  const title = `${name}, lab, ${road}`
  let folder
  try {
    folder = build(join(scratch, `${name}-lab-${road}`))
  } catch (err) {
    if (err.status !== 3) throw err
    skip(title, 'the page cannot be built here')
    return
  }
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const tern = await startTern({
    program,
    port,
    data: join(scratch, title),
    extra: ['--listen', `/ip4/127.0.0.1/udp/0/${ends}`, '--page-dir', folder, '--perf', 'on', '--max-unnegotiated', `${2 * STREAMS}`]
  })
  const leave = await allowLoopback(origin, scratch)
  const start = (more = {}) => launch(name, path, { ...leave, ...more })
  const addr = tern.listening.addrs.find((it) => it.includes(`/${road}/`))
  const weak = name === 'firefox' && road === 'webtransport' // slow, and keeps the connection of a closed tab
  const setup = { tern, title, name, origin, addr, start, leaves: !weak }
  try {
    for (const work of works) await testWork({ ...setup, ...work, rounds: weak ? 5 : work.rounds })
    await testEnds(setup)
  } finally {
    await tern.stop()
  }
}

// The lab's page in a folder that a node serves. Throws with status 3 where js-libp2p cannot be had.
function build (folder) {
  const modules = execFileSync(join(WEB, 'modules.sh'), [WEB, 'web'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
  execFileSync('node', [join(WEB, 'build.mjs'), folder, modules, LAB], { stdio: ['ignore', 'ignore', 'inherit'] })
  return folder
}

async function testWork ({ tern, title, name, origin, addr, start, scheme, rounds, options }) {
  const about = scheme != null ? `${title}, credentials v${scheme}` : title
  const browser = await start(options)
  try {
    const lab = await openLab(browser, origin)
    const connected = await test(`${about}: connects, identifies, pings`, async () => {
      const { agent, protocols } = await lab('connect', addr, scheme)
      assert.match(agent, /^tern\//)
      assert.ok(protocols.includes('/perf/1.0.0'), `no perf in ${protocols}`)
    })
    if (!connected) return
    await test(`${about}: ${PINGS} pings`, async () => {
      assert.equal((await lab('pings', PINGS)).answered, PINGS)
    })
    await test(`${about}: ${PERF / MIB} MiB down and up`, async () => {
      const before = await metrics(origin)
      const down = await lab('perf', 0, PERF)
      const between = await metrics(origin)
      const up = await lab('perf', PERF, 8)
      const after = await metrics(origin)
      assert.equal(down.received, PERF)
      assert.equal(up.received, 8) // the node's answer, once it has read all
      assert.ok(between.bytes_out_total - before.bytes_out_total >= PERF)
      assert.ok(after.bytes_in_total - between.bytes_in_total >= PERF)
      const [downRate, upRate] = [down, up].map(({ seconds }) => (PERF / MIB / seconds).toFixed(1))
      console.log(`# ${about}: ${downRate} MiB/s down, ${upRate} up`)
    })
    await test(`${about}: ${STREAMS} streams opened and closed ${rounds} times`, async () => {
      const { bytes } = await lab('streams', STREAMS, rounds)
      assert.equal(bytes, STREAMS * 10 * rounds * (rounds - 1) / 2)
    })
    await test(`${about}: closes in good order`, async () => {
      assert.equal(await lab('close'), 'closed')
      await settled({ tern, origin }, 5_000)
    })
  } finally {
    await browser.close()
  }
}

async function testEnds ({ tern, title, origin, addr, start, leaves }) {
  const browser = await start()
  try {
    if (!leaves) skip(`${title}: a tab that closes while bytes move leaves nothing behind`, 'Firefox keeps the connection of a closed tab')
    else await test(`${title}: a tab that closes while bytes move leaves nothing behind`, async () => {
      const page = await openPage(browser, origin)
      await call(page, 'connect', addr, 1)
      await call(page, 'pour')
      assert.ok((await metrics(origin)).streams > 0)
      await page.close()
      await settled({ tern, origin }, GONE)
    })
    await test(`${title}: nor does a browser that is killed`, async () => {
      const page = await openPage(browser, origin)
      await call(page, 'connect', addr, 1)
      assert.equal((await metrics(origin)).connections, 1)
      browser.process().kill('SIGKILL')
      await settled({ tern, origin }, GONE)
    })
  } finally {
    await browser.close().catch(() => {})
  }
  await test(`${title}: and the node serves the next one`, async () => {
    const next = await start()
    try {
      const lab = await openLab(next, origin)
      await lab('connect', addr, 1)
      assert.equal((await lab('pings', 3)).answered, 3)
    } finally {
      await next.close()
    }
  })
}

async function openPage (browser, origin) {
  const { page } = await open(browser, `${origin}/`)
  await stateIs(page, 'ready')
  return page
}

async function openLab (browser, origin) {
  const page = await openPage(browser, origin)
  page.setDefaultTimeout(120_000)
  return (verb, ...args) => call(page, verb, ...args)
}

async function call (page, verb, ...args) {
  const { value, failure } = await page.evaluate(async (verb, args) => {
    try {
      return { value: await globalThis.lab[verb](...args) }
    } catch (err) { // its class has lost its name to the bundler
      return { failure: `${err.name}: ${err.message}` }
    }
  }, verb, args)
  if (failure != null) throw new Error(failure)
  return value
}

// The node's counters and gauges, by their names without "tern_".
async function metrics (origin) {
  const text = await (await fetch(`${origin}/metrics`)).text()
  return Object.fromEntries([...text.matchAll(/^tern_(\S+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]))
}

// All connections have ended, and nothing of them is left. (Not looked at: connections that are not secured
// yet. A browser opens some to the page's port in advance, and says nothing on them.)
async function settled ({ tern, origin }, limit) {
  await tern.alone(limit)
  const { connections, streams } = await metrics(origin)
  assert.deepEqual({ connections, streams }, { connections: 0, streams: 0 })
}
