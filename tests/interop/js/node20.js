// What js-libp2p expects and Node has only from 22 on; distributions still ship 20. (The other such
// thing, WebSocket, is switched on by an option of node: see build.py.)
Promise.withResolvers ??= function () {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}
