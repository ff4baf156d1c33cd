// Which address the page dials, for what the node lists and how the page came. No browser needed.

import assert from 'node:assert/strict'

import { choose, transportOf } from '../../web/src/roads.js'
import { test } from './tap.mjs'

const PEER = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'
const at = (...heads) => heads.map((head) => `${head}/p2p/${PEER}`)

const CASES = [
  ['the address of the page itself, as the node lists it',
    'http://127.0.0.1:4001/', at('/ip4/127.0.0.1/tcp/4001', '/ip4/10.0.0.2/tcp/4001/ws', '/ip4/127.0.0.1/tcp/4001/ws'),
    at('/ip4/127.0.0.1/tcp/4001/ws')],
  ['the page\'s own name, when the node lists its port under others',
    'http://tern.example:4001/', at('/ip4/10.0.0.2/tcp/4001/ws'), at('/dns4/tern.example/tcp/4001/ws')],
  ['an IPv4 host', 'http://10.0.0.9:4001/', at('/ip4/10.0.0.2/tcp/4001/ws'), at('/ip4/10.0.0.9/tcp/4001/ws')],
  ['an IPv6 host', 'http://[2001:db8::7]:4001/', at('/ip6/::1/tcp/4001/ws'), at('/ip6/2001:db8::7/tcp/4001/ws')],
  ['a listed IPv6 host', 'http://[::1]:4001/', at('/ip6/::1/tcp/4001/ws'), at('/ip6/::1/tcp/4001/ws')],
  ['secure WebSocket from an https page, default port',
    'https://tern.example/', at('/ip4/10.0.0.2/tcp/4001/ws'), at('/dns4/tern.example/tcp/443/tls/ws')],
  ['a listed secure address, not the plain one',
    'https://10.0.0.2:4001/', at('/ip4/10.0.0.2/tcp/4001/ws', '/ip4/10.0.0.2/tcp/4001/tls/ws'), at('/ip4/10.0.0.2/tcp/4001/tls/ws')],
  ['the node\'s first WebSocket addresses, when another program served the page',
    'http://localhost:8080/', at('/ip4/127.0.0.1/tcp/4001', '/ip4/127.0.0.1/tcp/4001/ws'), at('/ip4/127.0.0.1/tcp/4001/ws')],
  ['the page\'s own origin, when the node lists no WebSocket',
    'http://10.0.0.2/', at('/ip4/10.0.0.2/tcp/4001'), at('/ip4/10.0.0.2/tcp/80/ws')],
  ['the page\'s own origin, when the node lists nothing', 'http://10.0.0.2/', undefined, at('/ip4/10.0.0.2/tcp/80/ws')]
]

const TRANSPORTS = {
  '/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/x/certhash/y/p2p/z': 'webtransport',
  '/ip4/1.2.3.4/udp/1/webrtc-direct/certhash/x': 'webrtc-direct',
  '/ip4/1.2.3.4/udp/1/quic-v1': '',
  '/ip4/1.2.3.4/tcp/1/ws': 'ws',
  '/ip4/1.2.3.4/tcp/1/ws/p2p/x': 'ws',
  '/dns4/a.example/tcp/1/wss/p2p/x': 'wss',
  '/dns4/a.example/tcp/1/tls/ws': 'wss',
  '/dns4/a.example/tcp/1/tls/sni/b.example/ws/p2p/x': 'wss',
  '/ip4/1.2.3.4/tcp/1/p2p/x': '',
  '/dns4/ws.example/tcp/1': ''
}

export async function testRoads () {
  for (const [name, page, addrs, expected] of CASES) {
    await test(`roads: ${name}`, () => assert.deepEqual(choose({ peer: PEER, addrs }, new URL(page)), expected))
  }
  await test('roads: the transport of an address', () => {
    for (const [addr, transport] of Object.entries(TRANSPORTS)) assert.equal(transportOf(addr), transport, addr)
  })
}
