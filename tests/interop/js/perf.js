// `/perf/1.0.0`: u64 BE "bytes you owe me", the upload, end; then the other side pays and ends.
// js-libp2p publishes no package for it, so both halves are here.
export const PERF = '/perf/1.0.0'

const BLOCK = new Uint8Array(64 << 10)

/** One direction on a stream of its own; returns the bytes counted. */
export async function runPerf (connection, upload, download, options = {}) {
  const stream = await connection.newStream(PERF, options)
  const header = new DataView(new ArrayBuffer(8))
  header.setBigUint64(0, BigInt(download))
  await send(stream, new Uint8Array(header.buffer))
  await sendZeros(stream, upload)
  await stream.close()
  const { received } = await readToEnd(stream)
  if (received !== download) throw new Error(`asked for ${download} bytes, received ${received}`)
  return upload + received
}

export async function servePerf (stream) {
  const { received, header } = await readToEnd(stream, 8)
  const owed = Number(new DataView(header.buffer).getBigUint64(0))
  await sendZeros(stream, owed)
  await stream.close()
  return { received, sent: owed }
}

/**
 * Reads all there is: the first `headerLength` bytes are kept, those after them counted. By looking
 * at the stream after every event: in js-libp2p 3.3 neither the iterator nor the event `end` is
 * right when the peer's end arrived together with its first bytes.
 */
async function readToEnd (stream, headerLength = 0) {
  const header = new Uint8Array(headerLength)
  let total = 0
  await new Promise((resolve, reject) => {
    const look = () => {
      if (stream.remoteWriteStatus === 'closed' && stream.readBufferLength === 0) resolve()
    }
    stream.addEventListener('close', ({ error }) => error == null ? look() : reject(error))
    stream.addEventListener('remoteCloseWrite', look)
    stream.addEventListener('message', ({ data }) => {
      if (total < headerLength) header.set(data.subarray(0, headerLength - total), total)
      total += data.byteLength
      look()
    })
    look()
  })
  if (total < headerLength) throw new Error('the stream ended inside its header')
  return { received: total - headerLength, header }
}

async function sendZeros (stream, left) {
  for (; left > 0; left -= BLOCK.length) {
    await send(stream, BLOCK.subarray(0, Math.min(left, BLOCK.length)))
  }
}

/** Not by stream.onDrain: in js-libp2p 3.3 it waits only the first time. */
async function send (stream, bytes) {
  if (stream.send(bytes)) return
  await new Promise((resolve, reject) => {
    const closed = ({ error }) => reject(error ?? new Error('the stream was closed'))
    stream.addEventListener('close', closed, { once: true })
    stream.addEventListener('drain', () => {
      stream.removeEventListener('close', closed)
      resolve()
    }, { once: true })
  })
}
