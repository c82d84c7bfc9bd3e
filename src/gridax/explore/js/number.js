// A number as text, with as many digits as a reader wants to see.
function short(value, kind, digits = 6) {
  if (typeof value === "string") return value
  if (typeof value === "boolean") return value ? "True" : "False"
  if (Number.isNaN(value)) return "nan"
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf"
  if (kind === "b") return value ? "True" : "False"
  if (kind === "i" || kind === "u") return value.toString()
  const size = Math.abs(value), far = size >= 1e6 || (size < 1e-4 && size > 0)
  const text = far ? value.toExponential(digits - 1) : value.toPrecision(digits)
  return text.replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(/\.(e|$)/, "$1").replace("e+", "e")
}
