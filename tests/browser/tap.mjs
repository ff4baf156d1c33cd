// The Test Anything Protocol, as far as these tests need it.

let count = 0
let failed = 0

// Runs body; its return does not matter, what it throws makes the test fail. Gives whether it passed.
export async function test (name, body) {
  count++
  try {
    await body()
    console.log(`ok ${count} - ${name}`)
    return true
  } catch (err) {
    failed++
    console.log(`not ok ${count} - ${name}`)
    for (const line of String(err.stack ?? err).split('\n').slice(0, 8)) console.log(`# ${line}`)
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
