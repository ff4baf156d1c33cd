// The second scheme of WebRTC Direct's credentials (libp2p specs, webrtc-direct).
//
// In the first the page invents a name and writes it over the ICE credentials in its own offer, which browsers
// are about to forbid; js-libp2p knows only that one. In the second the offer stays as the browser made it, and
// the page puts its own password into the name under which it looks for the node, whence the node learns it.

const PREFIX = 'libp2p+webrtc+v2/'

// From now on every RTCPeerConnection dials with the second scheme. For pages that do nothing else with
// WebRTC than to dial nodes that know it: tern does.
export function useSecondScheme () {
  const Native = globalThis.RTCPeerConnection
  if (Native == null) return

  globalThis.RTCPeerConnection = class extends Native {
    #offer // as the browser made it

    async createOffer (...options) {
      const { type, sdp } = await super.createOffer(...options)
      this.#offer = { type, sdp }
      return { type, sdp }
    }

    setLocalDescription () {
      return super.setLocalDescription(this.#offer) // whatever was written into the other copy
    }

    setRemoteDescription ({ type, sdp }) {
      const [, password] = /^a=ice-pwd:(\S+)/m.exec(this.localDescription.sdp)
      const answer = sdp.replace(/^a=ice-(ufrag|pwd):.*$/gm, `a=ice-$1:${PREFIX}${password}`)
      return super.setRemoteDescription({ type, sdp: answer })
    }
  }
}
