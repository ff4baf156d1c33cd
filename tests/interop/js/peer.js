// The js-libp2p peer of the interop tests; its command line is in tests/interop/README.md.
//
// stdout carries one JSON object a line, stderr one line of text on failure.
import './node20.js'
import { readFileSync } from 'node:fs'
import { quic } from '@chainsafe/libp2p-quic'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { mplex } from '@libp2p/mplex'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { PERF, runPerf, servePerf } from './perf.js'

const DIAL_LIMIT_MS = 30_000
const STREAMS_MAX = 2000 // of perf; by itself js-libp2p takes 32 of a protocol and opens 64
const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', ecdsa: 'ECDSA', rsa: 'RSA' }
const SECURITY = { noise: noise(), tls: tls() }
const MUXERS = { yamux: yamux(), mplex: mplex() }

function say (event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
}

/** The parts called `only`, or all of them in their order. */
function offered (parts, only) {
  if (only == null) return Object.values(parts)
  if (parts[only] == null) throw new Error(`js-libp2p has no ${only}`)
  return [parts[only]]
}

/** What Secure WebSocket listens with. Whom it trusts as a client is in NODE_EXTRA_CA_CERTS. */
function webOptions ({ tlsCert, tlsKey }) {
  return tlsCert == null ? {} : { https: { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) } }
}

async function newNode (args) {
  const type = KEY_TYPES[args.keyType]
  if (type == null) throw new Error(`no key type ${args.keyType}`)
  return createLibp2p({
    privateKey: await (type === 'RSA' ? generateKeyPair(type, 2048) : generateKeyPair(type)),
    addresses: { listen: args.listen },
    // A private network can go over neither QUIC nor WebRTC.
    transports: [tcp(), webSockets(webOptions(args)), ...(args.psk == null ? [quic(), webRTCDirect()] : [])],
    ...(args.psk != null && { connectionProtector: preSharedKey({ psk: readFileSync(args.psk) }) }),
    connectionEncrypters: offered(SECURITY, args.security),
    streamMuxers: offered(MUXERS, args.muxer),
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify(), ping: ping() }
  })
}

/** Says where it listens and serves ping, identify and perf until stdin ends. */
async function listen (node) {
  await node.handle(PERF, (stream, connection) => servePerf(stream).then(
    counted => say('served', { protocol: PERF, peer: String(connection.remotePeer), ...counted }),
    error => process.stderr.write(`perf: ${error.message}\n`)), { maxInboundStreams: STREAMS_MAX })
  node.addEventListener('connection:open', ({ detail }) => say('connected', {
    peer: detail.remotePeer.toString(), security: detail.encryption, muxer: detail.multiplexer
  }))
  say('listening', { peer: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) })
  await new Promise(resolve => process.stdin.on('end', resolve).resume())
}

async function pingPeer (node, args) {
  const start = performance.now()
  const connection = await dial(node, args)
  let firstAnswer = 0
  for (let received = 0; received < args.count; received++) {
    await node.services.ping.ping(connection.remotePeer)
    firstAnswer ||= performance.now() - start
  }
  say('summary', {
    local: node.peerId.toString(),
    peer: connection.remotePeer.toString(),
    received: args.count,
    first_answer_ms: firstAnswer
  })
}

async function identifyPeer (node, args) {
  const answer = new Promise((resolve, reject) => {
    node.addEventListener('peer:identify', ({ detail }) => resolve(detail), { once: true })
    setTimeout(() => reject(new Error('the peer did not identify itself')), DIAL_LIMIT_MS)
  })
  await dial(node, args)
  const info = await answer
  say('identify', {
    local: node.peerId.toString(),
    peer: info.peerId.toString(),
    agent: info.agentVersion,
    protocol_version: info.protocolVersion,
    protocols: info.protocols,
    listen_addrs: info.listenAddrs.map(String),
    observed_addr: String(info.observedAddr ?? '')
  })
}

async function perf (node, args) {
  const connection = await dial(node, args)
  const directions = [['up', args.upload, 0], ['down', 0, args.download]]
  for (const [direction, upload, download] of directions) {
    if (upload + download === 0) continue
    const start = performance.now()
    const bytes = await runPerf(connection, upload, download)
    const seconds = (performance.now() - start) / 1000
    say('perf', { local: node.peerId.toString(), direction, bytes, seconds })
  }
}

/** Asks so many questions of a byte at once, each on a stream of its own. */
async function streams (node, args) {
  const connection = await dial(node, args)
  const asked = Array.from({ length: args.count }, () => runPerf(connection, 1, 1, { maxOutboundStreams: STREAMS_MAX }))
  const lost = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected')
  for (const { reason } of lost) process.stderr.write(`a stream: ${reason?.message}\n`)
  say('streams', { local: node.peerId.toString(), count: args.count, failed: lost.length })
}

function dial (node, args) {
  if (args.addr == null) throw new Error('an address is needed')
  return node.dial(multiaddr(args.addr), { signal: AbortSignal.timeout(DIAL_LIMIT_MS) })
}

const COMMANDS = { listen, ping: pingPeer, identify: identifyPeer, perf, streams }
const OPTIONS = {
  '--listen': (args, value) => args.listen.push(value),
  '--security': (args, value) => { args.security = value },
  '--muxer': (args, value) => { args.muxer = value },
  '--key-type': (args, value) => { args.keyType = value },
  '--psk': (args, value) => { args.psk = value },
  '--tls-cert': (args, value) => { args.tlsCert = value },
  '--tls-key': (args, value) => { args.tlsKey = value },
  '--tls-ca': () => {},
  '-c': (args, value) => { args.count = Number(value) },
  '--upload': (args, value) => { args.upload = Number(value) },
  '--download': (args, value) => { args.download = Number(value) }
}

function parse ([command, ...words]) {
  if (COMMANDS[command] == null) {
    throw new Error(`usage: peer ${Object.keys(COMMANDS).join('|')} ...`)
  }
  const args = { command, listen: [], keyType: 'ed25519', count: 1, upload: 0, download: 0 }
  while (words.length > 0) {
    const word = words.shift()
    if (!word.startsWith('-')) {
      args.addr = word
    } else if (OPTIONS[word] == null || words.length === 0) {
      throw new Error(`unknown option or missing value: ${word}`)
    } else {
      OPTIONS[word](args, words.shift())
    }
  }
  return args
}

try {
  const args = parse(process.argv.slice(2))
  const node = await newNode(args)
  await COMMANDS[args.command](node, args)
  await node.stop()
  process.exit(0)
} catch (error) {
  process.stderr.write(`peer (js): ${error?.message ?? error}\n`)
  process.exit(1)
}
