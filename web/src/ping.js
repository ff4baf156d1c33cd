// A ping a second over one stream of /ipfs/ping/1.0.0, timed here.
//
// js-libp2p's own ping opens a stream for each ping and counts whole milliseconds; a node on the same
// machine answers in a fraction of one. The browser's clock steps by 5 us to 1 ms: see web/README.md.

const PROTOCOL = '/ipfs/ping/1.0.0'
const SIZE = 32 // bytes, by the protocol
const INTERVAL = 1_000 // ms from one ping to the next
const TIMEOUT = 10_000 // ms without an answer: the connection is taken for dead

// Calls onSample(ms) after each answer. Resolves when the connection has ended; ends it itself when no
// answer has come for TIMEOUT.
export async function pingWhileOpen (connection, onSample) {
  let heard = performance.now()

  while (connection.status === 'open') {
    let stream
    try {
      stream = await connection.newStream(PROTOCOL, { signal: AbortSignal.timeout(TIMEOUT) })
      await roundTrip(stream) // not counted: identify and the compiler still compete with it
      while (connection.status === 'open') {
        onSample(await roundTrip(stream))
        heard = performance.now()
        await pause(INTERVAL)
      }
    } catch (err) {
      stream?.abort(err)
      if (performance.now() - heard >= TIMEOUT) return connection.abort(new Error('The node answers no pings'))
      await pause(INTERVAL)
    }
  }
}

function roundTrip (stream) {
  return new Promise((resolve, reject) => {
    const sent = crypto.getRandomValues(new Uint8Array(SIZE))
    let answered = 0

    const timer = setTimeout(() => finish(reject, new Error('no answer to a ping')), TIMEOUT)
    const onMessage = ({ data }) => {
      const now = performance.now()
      for (const byte of data.subarray()) {
        if (byte !== sent[answered++]) return finish(reject, new Error('wrong answer to a ping'))
      }
      if (answered === SIZE) finish(resolve, now - started)
    }
    const onClose = ({ error }) => finish(reject, error ?? new Error('the ping stream ended'))
    const finish = (settle, value) => {
      clearTimeout(timer)
      stream.removeEventListener('message', onMessage)
      stream.removeEventListener('close', onClose)
      stream.removeEventListener('remoteCloseWrite', onClose)
      settle(value)
    }
    stream.addEventListener('message', onMessage)
    stream.addEventListener('close', onClose)
    stream.addEventListener('remoteCloseWrite', onClose)

    const started = performance.now()
    stream.send(sent)
  })
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
