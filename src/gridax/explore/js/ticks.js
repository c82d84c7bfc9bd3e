// The places of ticks along an axis or a color bar: at round numbers, dates, or some of its texts.
// `scale` tells what a place means: the number `start + step * place`, its power of ten if the
// `kind` is "log", milliseconds if it is "date", and a position in `texts` if it is "texts".
const DAY = 86400e3, STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 15e3, 30e3, 60e3, 120e3, 300e3, 900e3, 1800e3,
  3600e3, 3 * 3600e3, 6 * 3600e3, 12 * 3600e3, DAY, 2 * DAY, 7 * DAY, 14 * DAY,
]
const low = Math.min(cb_data.start, cb_data.end), high = Math.max(cb_data.start, cb_data.end)
const {kind, start, step, texts} = scale

function multiples(a, b, by) {
  const ticks = []
  // The ends may be rounded to 32 bits.
  for (let i = Math.ceil(a / by - 1e-5); i * by <= b + 1e-5 * by; i++) ticks.push(i * by)
  return ticks
}

function round_numbers(a, b, least = 0) {
  const rough = (b - a) / most
  if (!(rough > 0)) return [a]
  const ten = 10 ** Math.floor(Math.log10(rough))
  return multiples(a, b, Math.max(least, [1, 2, 5, 10].find((n) => n * ten >= 0.999 * rough) * ten))
}

function powers(a, b) {
  if (b - a >= most / 3) return multiples(a, b, Math.ceil((b - a) / most))
  if (b - a < 0.7) return round_numbers(10 ** a, 10 ** b).filter((n) => n > 0).map(Math.log10)
  const tens = multiples(Math.floor(a), b, 1), inside = (n) => n >= a - 1e-5 && n <= b + 1e-5
  return tens.flatMap((n) => [n, n + Math.log10(2), n + Math.log10(5)]).filter(inside)
}

function dates(a, b) {
  const rough = (b - a) / most, by = STEPS.find((n) => n >= rough)
  if (by !== undefined) return multiples(a, b, by)
  const months = [1, 2, 3, 6].find((n) => n * 30 * DAY >= rough)
  const years = months === undefined ? [1, 2, 5, 10, 20, 50, 100].find((n) => n * 365 * DAY >= rough) : 0
  const every = months ?? 12 * (years ?? 1000), ticks = []
  const first = Math.floor(new Date(a).getUTCFullYear() / 100) * 100
  for (let i = 0; ; i += every) {
    const at = Date.UTC(first, i, 1)
    if (!(at <= b)) return ticks
    if (at >= a) ticks.push(at)
  }
}

if (kind === "texts") {
  const by = Math.max(1, Math.ceil((high - low) / (1.6 * most)))
  return multiples(Math.max(0, low), Math.min(texts.length - 1, high), by)
}
const ends = [start + step * low, start + step * high].sort((a, b) => a - b)
const found = kind === "log" ? powers(...ends) : kind === "date" ? dates(...ends) :
  round_numbers(...ends, kind === "integer" ? 1 : 0)
return found.map((value) => (value - start) / step)
