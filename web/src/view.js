// All that the page writes into the document, except the graph.
//
// Elements are found by data-field; a field that is shown shortened keeps its full value in data-value,
// which is what the button with data-copy of the same name copies. The document's data-state is
// connecting, connected or lost. Tests read these attributes and nothing else.

import { transportOf } from './roads.js'

const STATES = { connecting: 'connecting', connected: 'connected', lost: 'not connected' }

export function makeView (document) {
  const field = (name) => document.querySelector(`[data-field="${name}"]`)
  const set = (name, text, value = text) => {
    const element = field(name)
    if (element.textContent !== text) element.textContent = text
    element.dataset.value = value
    element.title = value === text ? '' : value
  }
  const state = (name, detail) => {
    document.documentElement.dataset.state = name
    set('state', STATES[name])
    set('detail', detail)
  }

  let opened = 0
  setInterval(() => {
    if (document.documentElement.dataset.state === 'connected') set('open', duration(Date.now() - opened))
  }, 1000)
  document.addEventListener('click', ({ target }) => {
    const button = target.closest('[data-copy]')
    if (button != null) copy(button, field(button.dataset.copy))
  })

  return {
    self: (peer) => set('self', short(peer), peer),

    node ({ peer, agent }) {
      set('peer', short(peer), peer)
      set('agent', clean(agent))
    },

    connected (connection, took) {
      const addr = connection.remoteAddr.toString()
      opened = Date.now()
      set('peer', short(connection.remotePeer.toString()), connection.remotePeer.toString())
      set('transport', transportOf(addr))
      set('security', bare(connection.encryption))
      set('muxer', bare(connection.multiplexer))
      set('address', addr)
      set('took', milliseconds(took))
      set('open', duration(0))
      for (const name of ['last', 'min', 'avg', 'max']) set(name, '–')
      set('count', '0')
      state('connected', '')
    },

    // What is absent has not changed: a push tells only what is new.
    identified ({ agent, protocols, observed }) {
      if (agent != null) set('agent', clean(agent))
      if (observed != null) set('observed', observed.replace(/\/p2p\/[^/]+$/, ''))
      if (protocols.length === 0) return
      field('protocols').replaceChildren(...[...protocols].sort().map((protocol) => {
        const item = document.createElement('li')
        item.textContent = clean(protocol)
        return item
      }))
    },

    roundTrip (ms, { count, min, avg, max }) {
      set('last', milliseconds(ms))
      set('min', milliseconds(min))
      set('avg', milliseconds(avg))
      set('max', milliseconds(max))
      set('count', String(count))
    },

    // Resolves when it is time to try again: after the wait, or when asked to.
    async lost (why, wait) {
      state('lost', sentence(clean(why)))
      await countdown(document, field('countdown'), Date.now() + wait)
    },

    failed (why) {
      state('lost', clean(why))
      document.getElementById('retry').hidden = true
    }
  }
}

function countdown (document, element, until) {
  return new Promise((resolve) => {
    const retry = document.getElementById('retry')
    const tick = () => {
      const left = until - Date.now()
      element.textContent = left > 1000 ? `Trying again in ${Math.ceil(left / 1000)} s.` : 'Trying again.'
      if (left <= 0) finish()
    }
    const finish = () => {
      clearInterval(timer)
      element.textContent = 'Trying again.'
      retry.disabled = true
      retry.removeEventListener('click', finish)
      removeEventListener('online', finish)
      resolve()
    }
    const timer = setInterval(tick, 250)
    retry.disabled = false
    retry.addEventListener('click', finish)
    addEventListener('online', finish)
    tick()
  })
}

async function copy (button, element) {
  const text = element.dataset.value
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // No clipboard on plain http from another machine: leave the whole value selected instead.
    element.textContent = text
    getSelection().selectAllChildren(element)
    return
  }
  button.dataset.done = ''
  setTimeout(() => delete button.dataset.done, 1500)
}

// Peer ids of one kind begin alike: the last characters tell them apart.
const short = (peer) => peer.length > 20 ? `${peer.slice(0, 8)}…${peer.slice(-8)}` : peer

// '/yamux/1.0.0' -> 'yamux'
const bare = (protocol) => protocol?.split('/')[1] ?? '—'

// What a peer calls itself is its own text: one line, bounded.
const clean = (text) => String(text ?? '').replace(/[\p{C}\s]+/gu, ' ').trim().slice(0, 128)

const sentence = (text) => /[.!?]$/.test(text) ? text : `${text}.`

function milliseconds (ms) {
  return `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`
}

function duration (ms) {
  const s = Math.floor(ms / 1000)
  const [hours, minutes, seconds] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60]
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${seconds} s` : `${seconds} s`
}
