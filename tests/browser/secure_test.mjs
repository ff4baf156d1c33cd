// What only the page over https shows: which certificates a browser takes, and that a new one is taken up
// while the node runs and connections live.

import assert from 'node:assert/strict'
import { join } from 'node:path'

import { install, makeCertificate, subjectAt, trust } from './certificates.mjs'
import { DEADLINE, fields, open, pinged } from './document.mjs'
import { test } from './tap.mjs'

// Puts the certificate into its place; resolves when the node has taken it up.
async function renew (says, certificate, place) {
  const taken = says('is new: in use now', DEADLINE)
  await install(certificate, place)
  await taken
}

// The road for testPage() of page_test.mjs: its node shows a certificate of an authority that the browser
// does not know until begin() has seen it refused and has put a better one in its place.
export async function secureRoad (title, { name, folder, port }) {
  const [good, renewed] = [await makeCertificate(folder, 'first'), await makeCertificate(folder, 'second')]
  const place = { cert: join(folder, 'place', 'cert.pem'), key: join(folder, 'place', 'key.pem') }

  await install(await makeCertificate(join(folder, 'unknown'), 'unknown'), place)
  return {
    transport: 'wss',
    ends: ['', '/ws', '/tls/ws'],
    extra: ['--tls-cert', place.cert, '--tls-key', place.key, '--log', 'warn,tls=info'],
    trusted: await trust(good.ca, folder),
    addressOf: ({ peer }) => `/dns4/localhost/tcp/${port}/tls/ws/p2p/${peer}`,

    async begin (browser, { listening, says }) {
      await test(`${title}: the page's address is https, with the certificate's name`, () => {
        assert.equal(listening.page, `https://localhost:${port}/`)
      })
      // The unknown authority has the name of the known one, so Firefox finds a wrong signature.
      await test(`${title}: the browser refuses a certificate of an unknown authority`, () =>
        assert.rejects(open(browser, listening.page), /ERR_CERT_AUTHORITY_INVALID|SEC_ERROR_UNKNOWN_ISSUER|SEC_ERROR_BAD_SIGNATURE/))
      return await test(`${title}: the node shows a new certificate once its files are there`, async () => {
        await renew(says, good, place)
        assert.equal(await subjectAt(port), 'first')
      })
    },

    async connected (browser, { listening, says }, page) {
      await test(`${title}: a renewed certificate is shown, and the connection lives on`, async () => {
        const before = await fields(page)
        await renew(says, renewed, place)
        assert.equal(await subjectAt(port), 'second')
        await pinged(page, Number(before.count) + 3)
        assert.equal((await fields(page)).self, before.self)
        const { page: other, answer } = await open(browser, listening.page)
        assert.equal(answer.status(), 200)
        if (name === 'chromium') assert.equal(answer.securityDetails().subjectName(), 'second') // Firefox does not tell
        await other.close()
      })
    }
  }
}
