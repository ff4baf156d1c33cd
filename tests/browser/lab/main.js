// What a test makes a browser do over one connection: globalThis.lab, called by its names. Bundled in the
// place of the page, with the page's own js-libp2p node.

import { useSecondScheme } from '../../../web/src/credentials.js'
import { dial, makeNode } from '../../../web/src/node.js'

const PERF = '/perf/1.0.0'
const PING = '/ipfs/ping/1.0.0'
const PIECE = new Uint8Array(64 * 1024)
const STREAMS = 256 // js-libp2p's own limit for a protocol is 64

let node
let connection
let identified

globalThis.lab = {
  reach,
  async connect (addr, scheme) {
    const { took, dialled } = await reach(addr, scheme)
    const { detail } = await identified
    return { self: node.peerId.toString(), took, dialled, agent: detail.agentVersion, protocols: detail.protocols }
  },
  pings,
  perf,

  // `parallel` streams at once, `rounds` times, each with a few bytes both ways, then closed.
  async streams (parallel, rounds) {
    let bytes = 0
    for (let round = 0; round < rounds; round++) {
      const each = await Promise.all(Array.from({ length: parallel }, (_, i) => perf(100 * i, 10 * round)))
      bytes += each.reduce((sum, { received }) => sum + received, 0)
    }
    return { bytes, left: connection.streams.length }
  },

  // An upload without end; comes back when a MiB is on its way.
  async pour () {
    const stream = await connection.newStream(PERF)
    await send(stream, new Uint8Array(8))
    for (let sent = 0; sent < 1 << 20; sent += PIECE.length) await send(stream, PIECE)
    const rest = async () => { for (;;) await send(stream, PIECE) }
    rest().catch(() => {})
  },

  async close () {
    await connection.close()
    return connection.status
  },

  // Comes back when the connection has ended, with what the page knows of it.
  ended () {
    return new Promise((resolve) => connection.addEventListener('close', () => resolve(tell(new Error('the connection ended')))))
  },

  tell
}
document.documentElement.dataset.state = 'ready'

// Of every RTCPeerConnection of the page, what became of it: its states as they changed, and channels that ended early (the
// first few: there may be a hundred).
const rtc = []
const EARLY = 3
const Native = globalThis.RTCPeerConnection
globalThis.RTCPeerConnection = class extends Native {
  #told = []
  #started = performance.now()
  #early = 0

  constructor (...args) {
    super(...args)
    rtc.push(this.#told)
    for (const what of ['connection', 'iceConnection']) {
      this.addEventListener(`${what.toLowerCase()}statechange`, () => this.#tell(`${what} ${this[`${what}State`]}`))
    }
  }

  createDataChannel (...args) {
    const channel = super.createDataChannel(...args)
    const id = channel.id
    let open = channel.readyState === 'open'
    channel.addEventListener('open', () => { open = true })
    channel.addEventListener('close', () => { if (!open) this.#tell(`channel ${channel.id ?? id} closed before it opened`) })
    channel.addEventListener('error', ({ error }) => this.#tell(`channel ${channel.id ?? id}: ${error?.message}`))
    return channel
  }

  #tell (what) {
    if (what.startsWith('channel') && ++this.#early > EARLY) return
    this.#told.push(`${((performance.now() - this.#started) / 1000).toFixed(3)} s: ${what}`)
  }
}

// All that is known of a failure, on lines.
function tell (err) {
  const event = err instanceof Event
  return [
    event ? `the event "${err.type}" of stream ${err.target?.id}${err.error != null ? `, ${err.error}` : ''}` : `${err?.name}: ${err?.message}`,
    `connection: ${connection?.status}, ${connection?.streams.length} streams`,
    ...rtc.flat(),
    ...event ? [] : [`${err?.stack ?? err}`]
  ].join('\n')
}

// Dials, and pings once. scheme: of WebRTC Direct's credentials, 1 or 2. Gives { took, dialled, at }: ms until the ping was
// answered and until the connection was there, and the time of that answer in ms since the epoch.
async function reach (addr, scheme = 1) {
  if (scheme === 2) useSecondScheme()
  node = await makeNode('0')
  identified = new Promise((resolve) => node.addEventListener('peer:identify', resolve, { once: true }))
  const started = performance.now()
  const dialled = await dial(node, [addr])
  connection = dialled.connection
  const { last } = await pings(1)
  return { took: last - started, dialled: dialled.took, at: performance.timeOrigin + last }
}

// Uploads and downloads so many bytes over a stream of its own: { sent, received, seconds }.
async function perf (up, down) {
  const stream = await connection.newStream(PERF, { maxOutboundStreams: STREAMS })
  const started = performance.now()
  let received = 0
  const ended = new Promise((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => { received += data.byteLength })
    stream.addEventListener('remoteCloseWrite', resolve)
    stream.addEventListener('close', ({ error }) => error != null ? reject(error) : resolve())
  })
  ended.catch(() => {})

  const head = new Uint8Array(8)
  new DataView(head.buffer).setBigUint64(0, BigInt(down))
  await send(stream, head)
  for (let sent = 0; sent < up; sent += PIECE.length) await send(stream, PIECE.subarray(0, Math.min(PIECE.length, up - sent)))
  await stream.close()
  await ended
  return { sent: up, received, seconds: (performance.now() - started) / 1000 }
}

async function send (stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain()
}

// So many pings over one stream, one after the other: { answered, p50, last } in ms, the last by the page's clock. Both sides have
// ended the stream then: js-libp2p permits one at a time.
async function pings (count) {
  const stream = await connection.newStream(PING)
  const times = []
  let missing = 0
  let last
  let next
  stream.addEventListener('message', ({ data }) => {
    missing -= data.byteLength
    if (missing === 0) next.resolve()
  })
  const closed = new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
  stream.addEventListener('close', ({ error }) => next.reject(error ?? new Error('the ping stream ended')))
  while (times.length < count) {
    next = Promise.withResolvers()
    missing = 32
    const started = performance.now()
    stream.send(crypto.getRandomValues(new Uint8Array(32)))
    await next.promise
    last = performance.now()
    times.push(last - started)
  }
  next.promise.catch(() => {})
  await stream.close()
  await closed
  return { answered: times.length, last, p50: times.sort((a, b) => a - b)[times.length >> 1] }
}
