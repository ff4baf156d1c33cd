// What a test does with the page: opens it and reads its document. Every wait has a deadline.

export const DEADLINE = 45_000 // ms for each condition

// Opens the page in a new tab: { page, answer, errors, requests }, the last two growing as they come.
export async function open (browser, url) {
  const page = await browser.newPage()
  const errors = []
  const requests = []
  page.on('console', (message) => { if (['error', 'warn'].includes(message.type())) errors.push(message.text()) })
  page.on('pageerror', (err) => errors.push(err.message))
  page.on('request', (request) => requests.push(request.url()))
  const answer = await page.goto(url, { timeout: DEADLINE })
  return { page, answer, errors, requests }
}

export function stateIs (page, state) {
  return page.waitForFunction((wanted) => document.documentElement.dataset.state === wanted,
    { timeout: DEADLINE, polling: 100 }, state)
}

export function pinged (page, count) {
  return page.waitForFunction((least) => Number(document.querySelector('[data-field="count"]').dataset.value) >= least,
    { timeout: DEADLINE + count * 1500, polling: 100 }, count)
}

// The full values of all fields, by name.
export function fields (page) {
  return page.$$eval('[data-field]', (elements) => Object.fromEntries(
    elements.map((element) => [element.dataset.field, element.dataset.value])))
}
