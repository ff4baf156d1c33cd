// How many round trips a browser takes from its dial to the answer to its first ping, over every road to a node, through
// forwarders that delay. Counted is what followed from what, which is the same on a fast and on a slow machine; what the
// clock says is printed beside it.

import assert from 'node:assert/strict'
import { join } from 'node:path'

import { allowLoopback, launch } from './browsers.mjs'
import { slowTCP, slowUDP } from './delay.mjs'
import { build, openLab } from './lab.mjs'
import { skip, test, wanted } from './tap.mjs'
import { freePort, startTern } from './tern.mjs'

const DELAY = 100 // ms one way
const ROADS = [
  { road: 'ws', find: /\/tcp\/\d+\/ws\//, forward: slowTCP, handshake: 1 },
  { road: 'webtransport', find: /\/webtransport\//, forward: slowUDP, handshake: 0 },
  { road: 'webrtc-direct', scheme: 1, find: /\/webrtc-direct\//, forward: slowUDP, handshake: 0 },
  { road: 'webrtc-direct', scheme: 2, find: /\/webrtc-direct\//, forward: slowUDP, handshake: 0 }
]
const MOST = { // round trips, the TCP handshake counted
  chromium: { ws: 6, webtransport: 6, 'webrtc-direct': 8 },
  firefox: { ws: 6, webtransport: 5, 'webrtc-direct': 9 }
}

export async function testTrips (name, { path, program, scratch }) {
  const title = `${name}, round trips`
  if (!wanted(title)) return
  const folder = build(join(scratch, `${name}-trips`))
  if (folder == null) {
    skip(title, 'the page cannot be built here')
    return
  }
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const listen = ['quic-v1/webtransport', 'webrtc-direct'].flatMap((end) => ['--listen', `/ip4/127.0.0.1/udp/0/${end}`])
  const tern = await startTern({ program, port, data: join(scratch, title), extra: [...listen, '--page-dir', folder] })
  const leave = await allowLoopback(origin, scratch)
  try {
    for (const setup of ROADS) {
      await test(`${title}: ${nameOf(setup)}, at most ${MOST[name][setup.road]} until the first ping is answered`, async () => {
        const browser = await launch(name, path, leave)
        try {
          const { counted, dialled, answered } = await reach(await openLab(browser, origin), tern, setup)
          console.log(`# ${title}: ${nameOf(setup)}: ${counted}; by the clock ${answered.toFixed(1)}, connected after ${dialled.toFixed(1)}`)
          assert.ok(counted <= MOST[name][setup.road], `${counted}`)
        } finally {
          await browser.close()
        }
      })
    }
  } finally {
    await tern.stop()
  }
}

const nameOf = ({ road, scheme }) => scheme == null ? road : `${road} v${scheme}`

// Round trips: counted, and by the clock until the connection was there and until the ping was answered.
async function reach (lab, tern, { find, scheme, forward, handshake }) {
  const addr = tern.listening.addrs.find((it) => find.test(it))
  const [, , , , to] = addr.split('/')
  const slow = await forward(Number(to), DELAY)
  try {
    const { took, dialled, at } = await lab('reach', addr.replace(`/${to}/`, `/${slow.port}/`), scheme)
    return {
      counted: slow.trips.until(at) + handshake,
      answered: took / (2 * DELAY) + handshake,
      dialled: dialled / (2 * DELAY) + handshake
    }
  } finally {
    slow.close()
  }
}
