// The page a node serves, in real browsers, over http and over https:
//   run --tern PROGRAM [--browser chromium|firefox]... [--only 'GROUP: ROW' [--times N]] [--screenshot FILE]
//       [-- OPTIONS OF tern run...]
//
// --only runs the groups whose names have GROUP in them, or of those whose names end with it the rows that have ROW in
// theirs; --times: that often, in the lab.
//
// Everything is read from the document: its data-state and the elements with data-field. Every wait is
// for a condition and has a deadline.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { allowLoopback, find, launch, names, programsOf } from './browsers.mjs'
import { missing } from './certificates.mjs'
import { DEADLINE, fields, open, pinged, stateIs } from './document.mjs'
import { testLab } from './lab_test.mjs'
import { testRoads } from './roads_test.mjs'
import { secureRoad } from './secure_test.mjs'
import { finish, select, skip, test, wanted } from './tap.mjs'
import { freePort, startTern } from './tern.mjs'
import { testTrips } from './trips_test.mjs'

const PINGS = 5
const SCREENSHOT_PINGS = 40

const { values: options, positionals: extra } = parseArgs({
  allowPositionals: true,
  options: {
    tern: { type: 'string', default: 'build/release/tern' },
    browser: { type: 'string', multiple: true, default: names },
    only: { type: 'string', default: '' },
    times: { type: 'string', default: '1' },
    screenshot: { type: 'string' }
  }
})
const program = resolve(options.tern)
select(options.only, Number(options.times))
const scratch = await mkdtemp(join(tmpdir(), 'tern-browser-'))

try {
  await testRoads()
  for (const name of options.browser) {
    const path = find(name)
    if (path == null) skip(`${name}: the page`, `no ${programsOf(name)[0]}`)
    else await testBrowser(name, path)
  }
  if (options.screenshot != null) await test('screenshot', () => screenshot(options.screenshot))
} finally {
  await rm(scratch, { recursive: true, force: true })
}
process.exitCode = finish()

async function testBrowser (name, path) {
  await testPage(name, { name, path, port: await freePort(), road: { transport: 'ws', ends: ['', '/ws'], extra: [] } })
  await testWebTransport(name, path)
  await testDirect(name, path)
  await testLab(name, { path, program, scratch })
  await testTrips(name, { path, program, scratch })
  if (missing() != null) {
    skip(`${name}: the page over https`, `no ${missing()}`)
    return
  }
  const title = `${name}, https`
  const port = await freePort()
  await testPage(title, { name, path, port, road: await secureRoad(title, { name, folder: join(scratch, `${name}-https`), port }) })
}

// The page takes it before the others, which are there as well.
async function testWebTransport (name, path) {
  const port = await freePort()
  const listen = ['quic-v1/webtransport', 'webrtc-direct'].flatMap((road) => ['--listen', `/ip4/127.0.0.1/udp/${port}/${road}`])
  await testPage(`${name}, WebTransport`, {
    name,
    path,
    port,
    road: { transport: 'webtransport', security: '—', muxers: ['webtransport', 'native'], ends: ['', '/ws'], extra: listen }
  })
}

async function testDirect (name, path) {
  const port = await freePort()
  const listen = ['--listen', '/ip4/127.0.0.1/udp/0/webrtc-direct']
  await testPage(`${name}, WebRTC Direct`, {
    name,
    path,
    port,
    road: {
      transport: 'webrtc-direct',
      security: '—',
      muxers: ['webrtc', 'native'],
      ends: ['', '/ws'],
      extra: listen,
      trusted: await allowLoopback(`http://127.0.0.1:${port}`, scratch)
    }
  })
}

async function testPage (title, { name, path, port, road }) {
  if (!wanted(title)) return
  // Muxer as the page and the node call it; js-libp2p does not tell what secures WebRTC.
  const { transport: expected, muxers = ['yamux', 'yamux'], security: told = 'noise' } = road
  const setup = { program, port, data: join(scratch, title), ends: road.ends, extra: [...road.extra, ...extra] }
  let tern
  let browser

  try {
    const started = await test(`${title}: the node serves a page`, async () => {
      tern = await startTern(setup)
      assert.ok(tern.listening.page, 'the node says that it has no page')
      browser = await launch(name, path, road.trusted)
    }, { needed: true })
    if (!started) return
    if (await road.begin?.(browser, tern) === false) return

    const { page, errors, requests } = await open(browser, tern.listening.page)

    await test(`${title}: connects and pings`, async () => {
      await stateIs(page, 'connected')
      await pinged(page, PINGS)
    }, { needed: true })
    await test(`${title}: shows transport ${expected}, security ${told}, muxer ${muxers[0]}`, async () => {
      const { transport, security, muxer } = await fields(page)
      assert.deepEqual({ transport, security, muxer }, { transport: expected, security: told, muxer: muxers[0] })
    })
    await test(`${title}: shows the node's peer id, agent, address and protocols`, async () => {
      const shown = await fields(page)
      const { peer, addrs } = tern.listening
      const known = road.addressOf != null ? [road.addressOf(tern.listening)] : addrs
      assert.equal(shown.peer, peer)
      assert.match(shown.agent, /^tern\//)
      assert.ok(known.includes(shown.address), `${shown.address} is none of ${known}`)
      const protocols = await page.$$eval('[data-field="protocols"] li', (items) => items.map((item) => item.textContent))
      for (const protocol of ['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0']) assert.ok(protocols.includes(protocol), `no ${protocol}`)
    })
    await test(`${title}: draws the round trips`, async () => {
      const { min, avg, max } = await fields(page)
      const [low, mean, high] = [min, avg, max].map(Number.parseFloat)
      assert.ok(low >= 0 && low <= mean && mean <= high, `${min}, ${avg}, ${max}`)
      assert.match(await page.$eval('#graph .line', (line) => line.getAttribute('d')), /^M.+L/)
    })
    await test(`${title}: the node saw the same connection`, async () => {
      const { self } = await fields(page)
      const { transport, security, muxer, direction } = await tern.event((it) => it.event === 'connected' && it.peer === self)
      assert.deepEqual({ transport, security, muxer, direction }, { transport: expected, security: 'noise', muxer: muxers[1], direction: 'in' })
    })
    await test(`${title}: no error in the console, no request to anyone else`, async () => {
      const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map((entry) => entry.name))
      const host = new URL(tern.listening.page).host
      const foreign = [...requests, ...loaded].filter((url) => !url.startsWith('data:') && new URL(url).host !== host)
      assert.deepEqual({ errors, foreign }, { errors: [], foreign: [] })
    })
    await test(`${title}: fits 360 pixels`, async () => {
      await page.setViewport({ width: 360, height: 740 })
      await page.waitForFunction(() => innerWidth === 360, { timeout: DEADLINE, polling: 100 })
      const tooWide = await page.evaluate(() => [...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5).map((element) => element.outerHTML.slice(0, 80)))
      assert.deepEqual(tooWide, [])
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways')
    })
    await road.connected?.(browser, tern, page)
    await test(`${title}: says when the node is gone, and comes back with it`, async () => {
      await tern.stop()
      await stateIs(page, 'lost')
      tern = await startTern(setup)
      await stateIs(page, 'connected')
      await pinged(page, 1)
      assert.equal((await fields(page)).peer, tern.listening.peer)
    })
  } finally {
    await browser?.close()
    await tern?.stop()
  }
}

async function screenshot (file) {
  const path = find('chromium')
  assert.ok(path, 'no chromium to take it with')
  const tern = await startTern({ program, port: await freePort(), data: join(scratch, 'screenshot'), extra })
  const browser = await launch('chromium', path)
  try {
    const page = await browser.newPage()
    await page.setViewport({ width: 1200, height: 800, deviceScaleFactor: 1 })
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }])
    await page.goto(tern.listening.page, { timeout: DEADLINE })
    await pinged(page, SCREENSHOT_PINGS)
    await mkdir(dirname(resolve(file)), { recursive: true })
    await page.screenshot({ path: file })
  } finally {
    await browser.close()
    await tern.stop()
  }
}
