// Certificates for the page over https, made anew for each run, and browsers that trust their authority.
//
// The browsers check the certificate as they check any other: the authority is put into their own store,
// nothing is waved through.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'

const MAKER = fileURLToPath(new URL('../interop/web_cert.py', import.meta.url))
const TIME = 60_000 // ms for one program

// The first program that making certificates and trusting them takes and that is not here, or undefined.
export function missing () {
  const folders = (process.env.PATH ?? '').split(':')
  return ['python3', 'openssl', 'certutil'].find((program) => !folders.some((folder) => existsSync(join(folder, program))))
}

// A certificate for localhost and 127.0.0.1 whose subject is `name`, of the authority of `folder`, which is
// made when there is none: { cert, key, ca }, paths of PEM files.
export async function makeCertificate (folder, name) {
  await mkdir(folder, { recursive: true })
  const [cert, key, ca] = run('python3', MAKER, folder, name).trim().split('\n')
  return { cert, key, ca }
}

// Puts a certificate and its key where another one was, as a program that renews them does.
export async function install ({ cert, key }, place) {
  for (const [from, to] of [[key, place.key], [cert, place.cert]]) {
    await mkdir(dirname(to), { recursive: true })
    await writeFile(`${to}.new`, await readFile(from))
    await rename(`${to}.new`, to)
  }
}

// Makes a home and a profile in `folder` whose browser trusts the authority: { home, profile } for launch().
export async function trust (ca, folder) {
  const home = join(folder, 'home')
  const profile = join(folder, 'profile')
  for (const store of [join(home, '.pki', 'nssdb'), profile]) { // Chromium's, Firefox's
    await mkdir(store, { recursive: true })
    run('certutil', '-N', '--empty-password', '-d', `sql:${store}`)
    run('certutil', '-A', '-d', `sql:${store}`, '-n', 'authority', '-t', 'C,,', '-i', ca)
  }
  return { home, profile }
}

// The subject of the certificate with which a new handshake is answered. Any is taken here: only whose it is is
// asked.
export async function subjectAt (port) {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(TIME) })
    return socket.getPeerCertificate().subject.CN
  } finally {
    socket.destroy()
  }
}

function run (program, ...words) {
  return execFileSync(program, words, { encoding: 'utf8', timeout: TIME, stdio: ['ignore', 'pipe', 'pipe'] })
}
