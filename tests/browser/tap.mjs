// The Test Anything Protocol, as far as these tests need it. A test is called 'GROUP: ROW'; a group shares a node and a
// browser.

let count = 0
let failed = 0

// Which tests are run, and how often in a row: a part of 'GROUP', or the end of 'GROUP' and a part of 'ROW' with a colon
// between. All of them, once, by default.
let filter = ['', '']
let times = 1

export function select (text, count) {
  const [group, ...row] = text.split(':')
  filter = [group, row.join(':').trim()]
  times = count
}

export const wanted = (group) => filter[1] === '' ? group.includes(filter[0]) : group.endsWith(filter[0])
export const again = () => Array(times).keys()

// Runs body; its return does not matter, what it throws makes the test fail. Gives whether it passed.
// needed: the rows after it rest on it, so it is run with each of them.
export async function test (name, body, { needed = false } = {}) {
  const [group, ...row] = name.split(':')
  if (!needed && !(wanted(group) && row.join(':').includes(filter[1]))) return true
  count++
  try {
    await body()
    console.log(`ok ${count} - ${name}`)
    return true
  } catch (err) {
    failed++
    console.log(`not ok ${count} - ${name}`)
    for (const line of String(err.stack ?? err).split('\n').slice(0, 12)) console.log(`# ${line}`)
    return false
  }
}

export function skip (name, why) {
  console.log(`ok ${++count} - ${name} # SKIP ${why}`)
}

// Prints the plan; gives the exit status.
export function finish () {
  console.log(`1..${count}`)
  return failed === 0 ? 0 : 1
}
