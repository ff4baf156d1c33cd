// The page: find the node, dial it, show what we have, and dial again when it is lost.

import { useSecondScheme } from './credentials.js'
import { drawGraph } from './graph.js'
import { dial, makeNode, readCard, watchIdentity } from './node.js'
import { pingWhileOpen } from './ping.js'
import { choose } from './roads.js'
import { makeView } from './view.js'

const BACK_OFF = [500, 1_000, 2_000, 4_000, 8_000, 15_000] // ms before the next try

const view = makeView(document)
const graph = drawGraph(document.getElementById('graph'))

start().catch((err) => view.failed(`This browser cannot run the page: ${err.message}`))

async function start () {
  useSecondScheme()
  const node = await makeNode(PAGE_VERSION)
  view.self(node.peerId.toString())
  addEventListener('pagehide', () => { node.stop() })
  addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload() })

  for (let failures = 0; ;) {
    let why
    try {
      const reached = await reach(node)
      failures = 0
      why = await stay(node, reached)
    } catch (err) {
      why = err.message
    }
    const wait = BACK_OFF[Math.min(failures++, BACK_OFF.length - 1)] * (0.8 + 0.4 * Math.random())
    await view.lost(why, wait)
  }
}

// One try: the node's card, its addresses in order, the first that answers.
async function reach (node) {
  const card = await readCard()
  view.node(card)
  return await dial(node, choose(card, location))
}

// Shows a connection for as long as it lasts; resolves with the reason why it ended.
async function stay (node, { connection, took }) {
  const ended = new Promise((resolve) => {
    connection.addEventListener('close', ({ error }) => resolve(error?.message ?? 'The node closed the connection'))
  })
  const unwatch = watchIdentity(node, connection, view.identified)

  view.connected(connection, took)
  graph.clear()
  const silent = pingWhileOpen(connection, (ms) => view.roundTrip(ms, graph.add(ms)))

  const why = await Promise.race([ended, silent.then(() => 'The connection has ended')])
  unwatch()
  return why
}
