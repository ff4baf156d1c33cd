// Which address of the node to dial, best first.
//
// The node tells its addresses in /node.json. A road is a kind of address a browser can dial; KINDS
// holds them in order of preference, and choose() gives the addresses of every kind, best first.
// A new transport is one more entry here and one more line in node.js.

const KINDS = [
  { name: 'webtransport', find: webTransportAddrs },
  { name: 'webrtc-direct', find: webRTCDirectAddrs },
  { name: 'ws', find: webSocketAddrs }
]

// choose(card, location) -> [multiaddr text, ...], best first, without repetitions.
// card is the parsed /node.json, location the page's own.
export function choose (card, location) {
  return [...new Set(KINDS.flatMap((kind) => kind.find(card, location)))]
}

// The transport a multiaddr text stands for: 'webtransport', 'webrtc-direct', 'wss', 'ws', or the empty string.
export function transportOf (addr) {
  if (/\/webtransport(\/|$)/.test(addr)) return 'webtransport'
  if (/\/webrtc-direct(\/|$)/.test(addr)) return 'webrtc-direct'
  if (/\/(wss|tls(\/sni\/[^/]+)?\/ws)(\/|$)/.test(addr)) return 'wss'
  return /\/ws(\/|$)/.test(addr) ? 'ws' : ''
}

// The node serves this page and WebSocket on one port, so the way the page came is the way to dial:
//   1. an address the node lists with the page's own host and port is taken as it is;
//   2. else, when the node listens on the page's port or lists no WebSocket address at all (a proxy
//      is in front of it), the address is built from the page's own host and port;
//   3. else the page was served by another program (while developing): the node's first address.
function webSocketAddrs (card, location) {
  const here = originOf(location)
  const wanted = here.secure ? 'wss' : 'ws'
  const listed = (card.addrs ?? []).filter((addr) => transportOf(addr) === wanted)
  const samePort = listed.filter((addr) => portOf(addr) === here.port)
  const same = samePort.filter((addr) => hostOf(addr) === here.host)

  if (same.length > 0) return same
  if (samePort.length > 0 || listed.length === 0) return [build(here, card.peer)]
  return listed
}

// Browsers have it on secure pages, and from the machine itself, only.
function webTransportAddrs (card, location) {
  return globalThis.WebTransport == null ? [] : byIP('webtransport', card, location)
}

function webRTCDirectAddrs (card, location) {
  return globalThis.RTCPeerConnection == null ? [] : byIP('webrtc-direct', card, location)
}

// Roads whose addresses are IP addresses. One that the page came from is known to lead to the node; others
// (of its other interfaces) are tried only when the page came by a name.
function byIP (transport, card, location) {
  const { host } = originOf(location)
  const listed = (card.addrs ?? []).filter((addr) => transportOf(addr) === transport)
  const same = listed.filter((addr) => hostOf(addr) === host)
  return same.length > 0 || /^[\d.]+$|:/.test(host) ? same : listed.slice(0, 2)
}

function originOf (location) {
  const secure = location.protocol === 'https:'
  return {
    secure,
    host: location.hostname.replace(/^\[|\]$/g, ''),
    port: location.port || (secure ? '443' : '80')
  }
}

function build ({ host, port, secure }, peer) {
  const kind = host.includes(':') ? 'ip6' : /^\d+(\.\d+){3}$/.test(host) ? 'ip4' : 'dns4'
  return `/${kind}/${host}/tcp/${port}${secure ? '/tls' : ''}/ws/p2p/${peer}`
}

const hostOf = (addr) => addr.split('/')[2]
const portOf = (addr) => /\/tcp\/(\d+)/.exec(addr)?.[1]
