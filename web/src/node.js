// The js-libp2p node in the page: make it, learn whom to dial, dial.

import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { webTransport } from '@libp2p/webtransport'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const DIAL_TIMEOUT = 15_000 // ms, for the whole of one dial
const CARD_TIMEOUT = 5_000 // ms

// A started node with a fresh identity. It listens nowhere; it answers identify and ping.
export function makeNode (version) {
  return createLibp2p({
    nodeInfo: { name: 'tern-page', version },
    transports: [webTransport(), webRTCDirect(), webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), identifyPush: identifyPush(), ping: ping() },
    // The node this page came from may well be on a private or loopback address.
    connectionGater: { denyDialMultiaddr: () => false },
    // ping.js watches the connection; two would compete for js-libp2p's one ping stream.
    connectionMonitor: { enabled: false },
    // main.js dials again by itself, with a back-off that it can show.
    connectionManager: { reconnectRetries: 0 }
  })
}

// What the node says of itself at /node.json: { peer, agent, addrs }.
export async function readCard () {
  let answer
  try {
    answer = await fetch('node.json', { cache: 'no-store', signal: AbortSignal.timeout(CARD_TIMEOUT) })
  } catch {
    throw new Error('The node does not answer')
  }
  if (!answer.ok) throw new Error(`The node answers ${answer.status} to node.json`)
  return await answer.json()
}

// Dials the addresses one after the other; the first that answers wins.
// Gives { connection, took } with took in ms; throws the last failure.
export async function dial (node, addrs) {
  let failure = new Error('The node lists no address that a browser can dial')

  for (const addr of addrs) {
    try {
      const started = performance.now()
      const connection = await node.dial(multiaddr(addr), { signal: AbortSignal.timeout(DIAL_TIMEOUT) })
      return { connection, took: performance.now() - started }
    } catch (err) {
      failure = err
    }
  }
  throw failure
}

// Calls tell({ agent, protocols, observed }) now and whenever identify tells more of this peer.
// Gives a function that stops it.
export function watchIdentity (node, connection, tell) {
  const onIdentify = ({ detail }) => {
    if (!detail.peerId.equals(connection.remotePeer)) return
    tell({ agent: detail.agentVersion, protocols: detail.protocols, observed: detail.observedAddr?.toString() })
  }
  node.addEventListener('peer:identify', onIdentify)
  return () => node.removeEventListener('peer:identify', onIdentify)
}
