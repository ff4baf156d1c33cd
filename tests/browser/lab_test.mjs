// What a browser does over WebTransport and WebRTC Direct, beyond the page: a thousand pings, bytes both ways, streams by the
// hundred, and the ends that nobody announces. The bytes, streams and connections are counted at both sides.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { allowLoopback, launch } from './browsers.mjs'
import { slowUDP } from './delay.mjs'
import { build, call, openLab, openPage } from './lab.mjs'
import { again, skip, test, wanted } from './tap.mjs'
import { freePort, startTern } from './tern.mjs'

const PINGS = 1_000
const MIB = 1 << 20
const STREAMS = 100
const TOGETHER = 10 // rounds of them in one call, which has two minutes
const FORBID_FIRST = ['--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/']
const ROUNDS = 50
const LOST = 3 // checks whose first answer does not arrive
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
  const tests = works.map((work) => ({ work, group: work.scheme != null ? `${title}, credentials v${work.scheme}` : title }))
  if (!wanted(title) && !tests.some(({ group }) => wanted(group))) return
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
    for (const { work, group } of tests) {
      if (!wanted(group)) continue
      for (const _ of again()) await testWork({ ...setup, ...work, group })
    }
    if (!wanted(title)) return
    if (road === 'webrtc-direct') await testLoss(setup)
    await testEnds(setup)
  } finally {
    await tern.stop()
  }
}

async function testWork ({ tern, origin, addr, start, bytes: total, scheme, options, group: about }) {
  const browser = await start(options)
  try {
    const lab = await openLab(browser, origin)
    const connected = await test(`${about}: connects, identifies, pings`, async () => {
      const { agent, protocols } = await lab('connect', addr, scheme)
      assert.match(agent, /^tern\//)
      assert.ok(protocols.includes('/perf/1.0.0'), `no perf in ${protocols}`)
    }, { needed: true })
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

// Browsers ask by STUN, every few seconds, whether the node still consents. The first answer to each question is lost here, as
// where more arrives at once than there is room for. Firefox asks once, and has given a connection up by the time that
// it asks again when nothing has answered.
async function testLoss ({ title, origin, addr, start }) {
  await test(`${title}: lives on where answers to its checks are lost`, async () => {
    const lost = new Set() // transactions
    let losing = false
    let tell
    const enough = new Promise((resolve) => { tell = resolve })
    const port = Number(/\/udp\/(\d+)\//.exec(addr)[1])
    const road = await slowUDP(port, 0, (answer) => {
      const success = answer.length >= 20 && answer.readUInt16BE(0) === 0x0101 && answer.readUInt32BE(4) === 0x2112a442
      const id = success ? answer.toString('hex', 8, 20) : ''
      if (!losing || !success || lost.has(id)) return false
      lost.add(id)
      if (lost.size === LOST) tell()
      return true
    })
    const browser = await start()
    try {
      const lab = await openLab(browser, origin)
      await lab('connect', addr.replace(/\/udp\/\d+\//, `/udp/${road.port}/`), 1)
      losing = true
      const ended = lab('ended').then((how) => assert.fail(how))
      await Promise.race([enough, ended])
      ended.catch(() => {}) // the browser is closed
      assert.equal((await lab('pings', 3)).answered, 3)
    } finally {
      await browser.close()
      road.close()
    }
  })
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
