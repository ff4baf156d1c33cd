// The round-trip graph: the last minute as a line in SVG, drawn anew for each sample.
//
// x is time, not the number of the sample, so a silent stretch shows as a gap. y runs from 0 to the
// next round number above the largest sample in sight. Sizes are CSS pixels; the drawing follows the
// width of its element.

const SVG = 'http://www.w3.org/2000/svg'
const SPAN = 60_000 // ms in sight
const GAP = 3_500 // ms without a sample that break the line
const LEAST_TOP = 0.1 // ms, so that a clock that shows 0 still has an axis
const HEIGHT = 190
const EDGE = { top: 10, right: 12, bottom: 26, left: 46 }

// drawGraph(svg) -> { add(ms) -> { count, min, avg, max }, clear() }
export function drawGraph (svg) {
  let samples = []
  let total = { count: 0, sum: 0, min: Infinity, max: 0 }

  const draw = () => render(svg, samples, performance.now())
  new ResizeObserver(draw).observe(svg)

  return {
    add (ms) {
      const now = performance.now()
      // one sample beyond the left edge keeps the line running into it
      const firstInSight = samples.findIndex(({ at }) => now - at < SPAN)
      samples = samples.slice(Math.max(0, firstInSight - 1))
      samples.push({ at: now, ms })
      total = {
        count: total.count + 1,
        sum: total.sum + ms,
        min: Math.min(total.min, ms),
        max: Math.max(total.max, ms)
      }
      draw()
      return { count: total.count, min: total.min, avg: total.sum / total.count, max: total.max }
    },
    clear () {
      samples = []
      total = { count: 0, sum: 0, min: Infinity, max: 0 }
      draw()
    }
  }
}

function render (svg, samples, now) {
  const width = Math.max(svg.clientWidth, 200)
  const inner = { right: width - EDGE.right, bottom: HEIGHT - EDGE.bottom }
  const highest = Math.max(...samples.map(({ ms }) => ms), LEAST_TOP)
  const step = roundStep(highest / 3)
  const top = step * Math.ceil(highest * 1.05 / step)
  const x = (at) => inner.right - (now - at) / SPAN * (inner.right - EDGE.left)
  const y = (ms) => inner.bottom - ms / top * (inner.bottom - EDGE.top)

  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`)
  svg.replaceChildren(...axes({ inner, width, step, top, x, y, now, empty: samples.length === 0 }), ...line(samples, inner, x, y))
  svg.setAttribute('aria-label', describe(samples))
}

function axes ({ inner, width, step, top, x, y, now, empty }) {
  const parts = []
  for (let ms = 0; ms <= top + step / 2; ms += step) {
    if (ms > 0 && empty) break
    parts.push(make('line', { class: ms === 0 ? 'base' : 'grid', x1: EDGE.left, x2: inner.right, y1: crisp(y(ms)), y2: crisp(y(ms)) }))
    parts.push(make('text', { x: EDGE.left - 8, y: y(ms) + 4, 'text-anchor': 'end' }, tick(ms, step)))
  }
  const every = width < 480 ? 30 : 15
  for (let s = 0; s <= SPAN / 1000; s += every) {
    const at = crisp(x(now - s * 1000))
    parts.push(make('line', { class: 'base', x1: at, x2: at, y1: inner.bottom, y2: inner.bottom + 4 }))
    const anchor = s === 0 ? 'end' : s === SPAN / 1000 ? 'start' : 'middle'
    parts.push(make('text', { x: at, y: HEIGHT - 6, 'text-anchor': anchor }, s === 0 ? 'now' : `${s} s ago`))
  }
  return parts
}

function line (samples, inner, x, y) {
  const parts = []
  for (const run of runs(samples)) {
    // a sample from before the left edge is cut off at it, on the straight line to its neighbour
    const points = clip(run.map(({ at, ms }) => [x(at), y(ms)]))
    const path = points.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join('L')
    const [first, last] = [points[0][0].toFixed(1), points.at(-1)[0].toFixed(1)]
    parts.push(make('path', { class: 'area', d: `M${first} ${inner.bottom}L${path}L${last} ${inner.bottom}Z` }))
    parts.push(make('path', { class: 'line', d: `M${path}` }))
  }
  const last = samples.at(-1)
  if (last != null) parts.push(make('circle', { class: 'dot', cx: x(last.at), cy: y(last.ms), r: 3.5 }))
  return parts
}

function runs (samples) {
  const all = []
  for (const sample of samples) {
    const run = all.at(-1)
    if (run != null && sample.at - run.at(-1).at < GAP) run.push(sample)
    else all.push([sample])
  }
  return all
}

function clip (points) {
  if (points[0][0] >= EDGE.left || points.length < 2) return points
  const [[x0, y0], [x1, y1], ...rest] = points
  const part = (EDGE.left - x0) / (x1 - x0)
  return [[EDGE.left, y0 + part * (y1 - y0)], [x1, y1], ...rest]
}

// The smallest of 1, 2, 5 times a power of ten that is at least as large.
function roundStep (least) {
  const power = 10 ** Math.floor(Math.log10(least))
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least * 0.9999)
}

const tick = (ms, step) => ms === 0 ? '0 ms' : ms.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))

function describe (samples) {
  if (samples.length === 0) return 'Round-trip times: none yet'
  const times = samples.map(({ ms }) => ms)
  return `Round-trip times of the last minute, from ${Math.min(...times).toFixed(2)} to ${Math.max(...times).toFixed(2)} milliseconds`
}

const crisp = (value) => Math.round(value) + 0.5

function make (name, attributes, text) {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (text != null) element.textContent = text
  return element
}
