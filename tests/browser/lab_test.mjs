// What a browser does over WebTransport and WebRTC Direct, beyond the page: a thousand pings, bytes both ways, streams by the
// hundred, and the ends that nobody announces. The bytes, streams and connections are counted at both sides.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { allowLoopback, launch } from './browsers.mjs'
import { build, call, openLab, openPage } from './lab.mjs'
import { skip, test } from './tap.mjs'
import { freePort, startTern } from './tern.mjs'

const PINGS = 1_000
const MIB = 1 << 20
const STREAMS = 100
const TOGETHER = 10 // rounds of them in one call, which has two minutes
const FORBID_FIRST = ['--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/']
const ROUNDS = 50
const GONE = 60_000 // ms until a node that heard nothing has given a browser up: 30 s, on both roads

const ROADS = [
  { road: 'webtransport', ends: 'quic-v1/webtransport', bytes: 64 * MIB, works: [{}] },
  { road: 'webrtc-direct', ends: 'webrtc-direct', bytes: 32 * MIB, works: [{ scheme: 1 }, { scheme: 2, options: { args: FORBID_FIRST } }] }
]

export async function testLab (name, setup) {
  for (const road of ROADS) await testRoad(name, setup, road)
}

async function testRoad (name, { path, program, scratch }, { road, ends, bytes, works }) {
  const title = `${name}, lab, ${road}`
  const folder = build(join(scratch, `${name}-lab-${road}`))
  if (folder == null) {
    skip(title, 'the page cannot be built here')
    return
  }
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const tern = await startTern({
    program,
    port,
    data: join(scratch, title),
    extra: ['--listen', `/ip4/127.0.0.1/udp/0/${ends}`, '--page-dir', folder, '--perf', 'on']
  })
  const leave = await allowLoopback(origin, scratch)
  const start = (more = {}) => launch(name, path, { ...leave, ...more })
  const addr = tern.listening.addrs.find((it) => it.includes(`/${road}/`))
  const setup = { tern, title, origin, addr, start, bytes, stays: name === 'firefox' && road === 'webtransport' }
  try {
    for (const work of works) await testWork({ ...setup, ...work })
    await testEnds(setup)
  } finally {
    await tern.stop()
  }
}

async function testWork ({ tern, title, origin, addr, start, bytes: total, scheme, options }) {
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
    await test(`${about}: ${total / MIB} MiB down and up`, async () => {
      const before = await metrics(origin)
      const down = await lab('perf', 0, total)
      const between = await metrics(origin)
      const up = await lab('perf', total, 8)
      const after = await metrics(origin)
      assert.equal(down.received, total)
      assert.equal(up.received, 8) // the node's answer, once it has read all
      assert.ok(between.bytes_out_total - before.bytes_out_total >= total)
      assert.ok(after.bytes_in_total - between.bytes_in_total >= total)
      const [downRate, upRate] = [down, up].map(({ seconds }) => (total / MIB / seconds).toFixed(1))
      console.log(`# ${about}: ${downRate} MiB/s down, ${upRate} up`)
    })
    await test(`${about}: ${STREAMS} streams opened and closed ${ROUNDS} times`, async () => {
      for (let round = 0; round < ROUNDS; round += TOGETHER) {
        const { bytes } = await lab('streams', STREAMS, TOGETHER)
        assert.equal(bytes, STREAMS * 10 * TOGETHER * (TOGETHER - 1) / 2)
      }
    })
    await test(`${about}: closes in good order`, async () => {
      assert.equal(await lab('close'), 'closed')
      await settled({ tern, origin }, 5_000)
    })
  } finally {
    await browser.close()
  }
}

// stays: a closed tab leaves its connection behind. Firefox ends the streams of a WebTransport session then, but neither
// the session nor the connection, and answers for it and keeps it alive by itself, so nobody can tell it from a tab that
// is open and has nothing to say. It goes with the browser.
async function testEnds ({ tern, title, origin, addr, start, stays }) {
  let browser = await start()
  try {
    await test(`${title}: a tab that closes while bytes move leaves ${stays ? 'no stream' : 'nothing'} behind`, async () => {
      const page = await openPage(browser, origin)
      await call(page, 'connect', addr, 1)
      await call(page, 'pour')
      assert.ok((await metrics(origin)).streams > 0)
      await page.close()
      if (stays) {
        for (const limit = Date.now() + GONE; (await metrics(origin)).streams > 0; await delay(100)) {
          assert.ok(Date.now() < limit, 'streams are left')
        }
        await browser.close()
      }
      await settled({ tern, origin }, GONE)
      if (stays) browser = await start()
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
