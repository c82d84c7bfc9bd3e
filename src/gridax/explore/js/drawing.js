// ---- drawing

const axes_of = ({figure}) => [figure.below[0], figure.left[0]]

// `i` is 0 for the x axis, 1 for the y axis and 2 for the color bar.
function set_scale(plot, i, scale, texts = []) {
  const whole = {start: 0, step: 1, texts: scale.kind === "texts" ? texts : [], ...scale}
  plot.tickers[i].args = {...plot.tickers[i].args, scale: whole}
  plot.formats[i].args = {...plot.formats[i].args, scale: whole}
}

function set_axis(plot, i, {label, scale, texts}) {
  const axis = axes_of(plot)[i]
  axis.axis_label = plain(label)
  set_scale(plot, i, scale, texts)
  // Long texts below a plot would overlap.
  const long = i === 0 && ((scale.kind === "texts" && texts.some((text) => text.length > 8)) || scale.kind === "date")
  axis.major_label_orientation = long ? 0.7 : "horizontal"
}

function extent(values) {
  let low = Infinity, high = -Infinity
  for (const value of values) {
    if (!Number.isFinite(value)) continue
    if (value < low) low = value
    if (value > high) high = value
  }
  if (low > high) return [0, 1]
  const around = Math.abs(low) * 1e-3 || 0.5
  return low === high ? [low - around, high + around] : [low, high]
}

function colors() {
  const reversed = looks.cmap.value.endsWith("_r")
  const palette = palettes[reversed ? looks.cmap.value.slice(0, -2) : looks.cmap.value]
  return reversed ? [...palette].reverse() : palette
}

// How values are shown: transformed by `of`, on a scale, with limits.
function value_style(out, values, is_mean) {
  const is_bool = out.kind === "b" && !is_mean, log = looks.log.active && !is_bool
  const of = log ? (value) => value > 0 ? Math.log10(value) : NaN : (value) => value
  const shown = log ? Float64Array.from(values, of) : values
  const kind = log ? "log" : is_bool ? "texts" : "iu".includes(out.kind) && !is_mean ? "integer" : "number"
  let palette = colors(), [low, high] = is_bool ? [-0.5, 1.5] : extent(shown)
  // Colors that diverge have their middle at 0.
  if (/RdBu|BrBG/.test(looks.cmap.value) && low < 0 && high > 0 && !log)
    [low, high] = [-Math.max(-low, high), Math.max(-low, high)]
  const back = (value) => log ? 10 ** value : value
  const automatic = [back(low), back(high)]
  if (is_bool) palette = [palette[40], palette[215]]
  else {
    if (looks.low.value !== null && !Number.isNaN(of(looks.low.value))) low = of(looks.low.value)
    if (looks.high.value !== null && !Number.isNaN(of(looks.high.value))) high = of(looks.high.value)
    if (!(low < high)) [low, high] = [Math.min(low, high) - 1e-3, Math.max(low, high) + 1e-3]
  }
  return {shown, low, high, palette, automatic, is_bool, scale: {kind}, texts: ["False", "True"]}
}

// `keep` preserves the range that a user has zoomed into.
function set_range(range, low, high, keep) {
  range.setv({reset_start: low, reset_end: high, ...(keep ? {} : {start: low, end: high})})
}

function set_colors(plot, {low, high, palette, scale, texts}, nan_color) {
  set_scale(plot, 2, scale, texts)
  plot.mapper.setv({low, high, palette, nan_color})
}

function draw_map(plot, x, y, values, style, keep = false) {
  const nx = x.at.length, ny = y.at.length
  const Cells = plot.source.data.z[0].constructor
  const cells = (list) => new Cells(Float64Array.from(list), [ny, nx])
  set_colors(plot, style, theme().none)
  set_range(plot.figure.x_range, -0.5, nx - 0.5, keep)
  set_range(plot.figure.y_range, -0.5, ny - 0.5, keep)
  plot.source.data = {z: [cells(style.shown)], value: [cells(values)], x: [-0.5], y: [-0.5], n: [nx], m: [ny]}
}

// Draws a line, or points with the colors of their values where there is a `y`.
function draw_line(plot, x, y, values, style, joined, keep = false) {
  const [left, right] = extent(x.at), ys = y === null ? style.shown : y.at
  const [bottom, top] = y === null ? [style.low, style.high] : extent(ys)
  const pad = (a, b, by = 0.04) => [a - by * (b - a), b + by * (b - a)]
  set_colors(plot, style, y === null ? theme().line : theme().none)
  set_range(plot.figure.x_range, ...pad(left, right), keep)
  set_range(plot.figure.y_range, ...pad(bottom, top, y === null && style.is_bool ? 0 : 0.04), keep && y !== null)
  let order = Array.from(x.at.keys())
  if (joined) order.sort((i, j) => x.at[i] - x.at[j])
  const take = (list) => order.map((i) => list[i])
  const none = order.map(() => NaN)
  const seen = joined && order.length > 60 ? 0 : 1  // on long lines, dots only serve the pointer
  const many = order.length > 3000
  plot.dots.setv({size: many ? 4 : 7, fill_alpha: seen, line_alpha: many ? 0 : seen}, only_here)
  const labels = {}
  members_of(dim_of(x.name)).forEach((m, i) => {
    labels[`label${i}`] = order.map((j) => `${m.title}: ${m.texts[j * x.step]}${m.units}`)
  })
  plot.source.data = {
    x: take(x.at), y: take(ys), z: y === null ? none : take(style.shown), value: take(values),
    line: joined && y === null ? take(ys) : none, ...labels,
  }
}

// The names, labels and units of what is below the pointer.
function set_hover(plot, x, y, out, is_mean) {
  const value = ["", "@x{custom}"]
  plot.value.args = {...plot.value.args, title: out.title, kind: is_mean ? "f" : out.kind, units: out.units}
  if (plot.kind === "map") {
    const both = [x, y]
    both.forEach(({title, texts, units}, i) => { plot.hovers[i].args = {title, texts, units} })
    plot.hover.tooltips = [["", "$x{custom}"], ["", "$y{custom}"], value]
  } else {
    const rows = members_of(dim_of(x.name)).map((m, i) => ["", `@label${i}`])
    plot.hover.tooltips = [...rows, value]
    plot.hover.mode = y === null ? "vline" : "mouse"
  }
}

function draw_frame() {
  const content = parsed(frame), {map, line} = plots, out = outputs.get(content.output)
  const x = {...content.x, at: frame.data.x[0]}, values = frame.data.z[0]
  const y = content.y === null ? null : {...content.y, at: frame.data.y[0]}
  const plot = content.kind === "map" ? map : line, is_mean = content.mean.length > 0
  map.figure.visible = content.kind === "map"
  line.figure.visible = content.kind !== "map"
  line.bar.visible = content.kind === "points"
  const style = value_style(out, values, is_mean)
  set_axis(plot, 0, x)
  set_axis(plot, 1, y ?? {...style, label: out.label})
  const over = JSON.stringify([x.name, y?.name]), keep = over === plot.figure.over
  plot.figure.over = over
  if (content.kind === "map") draw_map(plot, x, y, values, style, keep)
  else draw_line(plot, x, y, values, style, content.joined, keep)
  plot.bar.title = plain(out.label)
  set_hover(plot, x, y, out, is_mean)
  const [least, largest] = style.is_bool ? ["", ""] : style.automatic
  looks.low.placeholder = short(least, "f", 3)
  looks.high.placeholder = short(largest, "f", 3)
  looks.low.disabled = looks.high.disabled = looks.log.disabled = looks.keep.disabled = style.is_bool
  note.text = safe(content.note)
  help.text = help_text(content, values, style)
  draw_mark()
}

function help_text(content, values, {shown}) {
  const what = content.kind === "map" ? "cells" : "points"
  const missing = values.filter(Number.isNaN).length, hidden = shown.filter(Number.isNaN).length - missing
  const parts = []
  if (missing === values.length) parts.push("There is no value to show: all are nan.")
  else if (missing > 0)
    parts.push(`${missing} of ${values.length} ${what} have no value (nan)${content.kind === "line" ? "" : ", and are gray"}.`)
  if (hidden > 0) parts.push(`${hidden} ${what} are not shown, as they are not positive.`)
  const keys = content.kind === "line" ? "<kbd>←</kbd> <kbd>→</kbd>" : "<kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd>"
  const far = content.kind === "points" ? "" : "; with <kbd>Shift</kbd>, by ten"
  parts.push(`Click a ${content.kind === "map" ? "cell" : "point"} to see it, or move the mark with the keys ${keys}${far}.`)
  return `<p>${parts.join(" ")}</p>`
}

function draw_mark() {
  const content = parsed(frame), {at} = parsed(picked), data = {x: [], y: []}
  const i = at[dim_of(content.x.name)] / content.x.step
  if (content.kind === "map") {
    data.x = [i]
    data.y = [at[dim_of(content.y.name)] / content.y.step]
  } else if (Number.isInteger(i)) {
    const log = looks.log.active && outputs.get(content.output).kind !== "b"
    const value = frame.data.z[0][i]
    data.x = [frame.data.x[0][i]]
    data.y = [content.y !== null ? frame.data.y[0][i] : log ? Math.log10(value) : value]
  }
  plots[content.kind === "map" ? "map" : "line"].mark.data = data
}
