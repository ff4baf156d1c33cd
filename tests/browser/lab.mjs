// The lab: a page whose js-libp2p node a test makes do what it likes, by the verbs of lab/main.js.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { open, stateIs } from './document.mjs'

const WEB = fileURLToPath(new URL('../../web/', import.meta.url))
const LAB = fileURLToPath(new URL('lab', import.meta.url))

// The page in a folder that a node serves, or null where js-libp2p cannot be had.
export function build (folder) {
  try {
    const modules = execFileSync(join(WEB, 'modules.sh'), [WEB, 'web'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
    execFileSync('node', [join(WEB, 'build.mjs'), folder, modules, LAB], { stdio: ['ignore', 'ignore', 'inherit'] })
    return folder
  } catch (err) {
    if (err.status !== 3) throw err
    return null
  }
}

// Opens it in a new tab: the tab.
export async function openPage (browser, origin) {
  const { page } = await open(browser, `${origin}/`)
  await stateIs(page, 'ready')
  return page
}

// ... and a function that calls a verb of it.
export async function openLab (browser, origin) {
  const page = await openPage(browser, origin)
  page.setDefaultTimeout(120_000)
  return (verb, ...args) => call(page, verb, ...args)
}

// What went wrong in the page comes back with its name, message and stack. js-libp2p also rejects with the event that
// spoilt its wait, which has neither: then its type, whose it was, and what the page told of its connections.
export async function call (page, verb, ...args) {
  const { value, failure } = await page.evaluate(async (verb, args) => {
    try {
      return { value: await globalThis.lab[verb](...args) }
    } catch (err) {
      return { failure: globalThis.lab.tell(err) }
    }
  }, verb, args).catch((err) => { throw new Error(`${verb}: the page is gone: ${err.name}: ${err.message}`, { cause: err }) })
  if (failure != null) throw new Error(`${verb}: ${failure}`)
  return value
}
