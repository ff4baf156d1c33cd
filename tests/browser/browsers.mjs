// Finds and launches the browsers, each with a fresh profile that is gone afterwards.

import { accessSync, constants } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const puppeteer = createRequire(join(process.env.TERN_BROWSER_MODULES, 'from.js'))('puppeteer-core')

const BROWSERS = {
  chromium: {
    programs: ['chromium', 'chromium-browser', 'google-chrome'],
    options: {
      browser: 'chrome',
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync']
    }
  },
  firefox: {
    programs: ['firefox-esr', 'firefox'],
    options: { browser: 'firefox', protocol: 'webDriverBiDi' }
  }
}

export const names = Object.keys(BROWSERS)
export const programsOf = (name) => BROWSERS[name].programs

// The path of the browser's program, or undefined.
export function find (name) {
  const folders = (process.env.PATH ?? '').split(':')
  return BROWSERS[name].programs.flatMap((program) => folders.map((folder) => join(folder, program))).find(isProgram)
}

// home and profile: folders to use instead of the user's own and of a fresh one; see certificates.mjs.
// args: further ones of Chromium's. prefs: of Firefox's.
export function launch (name, executablePath, { home, profile, args = [], prefs } = {}) {
  const env = home == null ? process.env : { ...process.env, HOME: home }
  const { options } = BROWSERS[name]
  return puppeteer.launch({
    ...options,
    args: [...options.args ?? [], ...name === 'chromium' ? args : []],
    extraPrefsFirefox: prefs,
    executablePath,
    headless: true,
    timeout: 60_000,
    env,
    userDataDir: profile
  })
}

// For launch(): Firefox does WebRTC over loopback only when told, and shows a page its addresses only when the
// page may use the camera. folder is where the list of such pages goes.
export async function allowLoopback (origin, folder) {
  const list = join(folder, `camera-${new URL(origin).port}`)
  await writeFile(list, `origin\tcamera\t1\t${origin}\n`)
  return { prefs: { 'media.peerconnection.ice.loopback': true, 'permissions.manager.defaultsUrl': `file://${list}` } }
}

function isProgram (path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
