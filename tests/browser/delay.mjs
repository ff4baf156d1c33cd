// Forwarders that make a long road of loopback: every datagram, or chunk of a TCP connection, arrives `delay` ms after it
// was sent, each way. They count round trips by cause and effect, as tests/interop/forwarder.py does: what the dialler sends
// belongs to the round trip after the last answer that was delivered to it, and what the listener sends answers the last that
// was delivered to that. So the count does not depend on how fast the machine is, as long as it reacts within `delay`.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

// Ms since the epoch, as a page has them.
const now = () => performance.timeOrigin + performance.now()

class Trips {
  #delay
  #asked = 0
  #answered = 0
  #over = false
  #told = [] // when each round trip was first complete, the first at index 1

  constructor (delay) {
    this.#delay = delay
  }

  // Calls send() when what the dialler sends now arrives; the same of the listener.
  there (send) {
    const trip = this.#answered + 1
    setTimeout(() => {
      if (this.#over) return
      this.#asked = Math.max(this.#asked, trip)
      send()
    }, this.#delay)
  }

  back (send) {
    const trip = this.#asked
    setTimeout(() => {
      if (this.#over) return
      if (trip > this.#answered) this.#told[this.#answered = trip] = now()
      send()
    }, this.#delay)
  }

  // Nothing arrives any more.
  end () {
    this.#over = true
  }

  // How many were complete at that time.
  until (time) {
    return Math.max(0, this.#told.findLastIndex((at) => at <= time))
  }
}

// Forwards to a UDP port of 127.0.0.1: { port, trips, close() }. lose(bytes): whether this answer does not arrive.
export async function slowUDP (to, delay, lose = () => false) {
  const trips = new Trips(delay)
  const near = createSocket('udp4')
  const roads = new Map() // by the dialler's port
  near.on('message', (bytes, { port }) => {
    if (!roads.has(port)) {
      const far = createSocket('udp4')
      far.on('message', (answer) => {
        if (!lose(answer)) trips.back(() => near.send(answer, port, '127.0.0.1', ignore))
      })
      far.on('error', ignore)
      roads.set(port, far)
    }
    trips.there(() => roads.get(port).send(bytes, to, '127.0.0.1', ignore))
  })
  near.bind(0, '127.0.0.1')
  await once(near, 'listening')
  const close = () => {
    trips.end()
    for (const far of roads.values()) far.close()
    near.close()
  }
  return { port: near.address().port, trips, close }
}

// The same for TCP. The kernel finishes the dialler's handshake with the forwarder at once; a real one takes one round trip
// more than is counted and waited here.
export async function slowTCP (to, delay) {
  const trips = new Trips(delay)
  const ends = new Set()
  const server = createServer((near) => {
    const far = connect({ port: to, host: '127.0.0.1', noDelay: true })
    near.setNoDelay(true)
    near.on('data', (bytes) => trips.there(() => far.write(bytes)))
    far.on('data', (bytes) => trips.back(() => near.write(bytes)))
    near.on('end', () => trips.there(() => far.end()))
    far.on('end', () => trips.back(() => near.end()))
    for (const end of [near, far]) {
      ends.add(end)
      end.on('error', ignore)
      end.on('close', () => ends.delete(end))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    trips.end()
    for (const end of ends) end.destroy()
    server.close()
  }
  return { port: server.address().port, trips, close }
}

function ignore () {}
