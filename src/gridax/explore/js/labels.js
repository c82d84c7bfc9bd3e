// The label of a tick; see `ticks.js`.
const {kind, start, step, texts} = scale
if (kind === "texts") {
  const text = texts[Math.round(tick)] ?? ""
  return text.length > letters ? `${text.slice(0, letters / 2)}…${text.slice(-letters / 2)}` : text
}
let value = start + step * tick
if (Math.abs(value) < 1e-12 * (Math.abs(start) + Math.abs(step))) value = 0  // a rounding error
if (kind === "date") {
  const text = new Date(Math.round(value)).toISOString().replace(".000Z", "").replace("Z", "")
  return text.replace(/T00:00:00$/, "").replace("T", " ").replace(/(:\d\d):00$/, "$1")
}
if (kind === "integer") return short(Math.round(value), "i")
return short(kind === "log" ? 10 ** value : value, "f")
