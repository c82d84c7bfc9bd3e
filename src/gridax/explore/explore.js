// What an explorer does in the browser.
// One callback for everything that happens: `cb_obj` tells what.
//
//   choosers, sliders, checkboxes  ->  view      what is looked at, as JSON
//   a click in a picture           ->  picked    the index of a point along each dimension, as JSON
//   frame, point                   ->  the pictures and the table
//
// In a live explorer Python answers `view` with `frame` and `picked` with `point`. In an exported page
// `sheet` holds all outputs, and the answers are made here, as `Cube.frame` and `Cube.point` make them.

const about = JSON.parse(spec)
const dims = Object.keys(about.dims)
const [output, x_name, y_name] = choosers
const exported = sheet.data.ready !== undefined

const said = (source) => JSON.parse(source.data.said[0])
const dim_of = (name) => dims.find((dim) => name in about.dims[dim].members)
const size_of = (dim) => Object.values(about.dims[dim].members)[0].texts.length
const member_of = (name) => about.dims[dim_of(name)].members[name]
const names_of = (out) => about.outputs[out].dims.flatMap((d) => Object.keys(about.dims[d].members))
const short = (value) => Number.isFinite(value) ? Number(value.toPrecision(6)).toString() : "nan"
const safe = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

// ---- what is looked at

function directions() {
  return [x_name.value, y_name.value].filter((name) => name !== "").map(dim_of)
}

// The index along every dimension: that of the sliders, which a click moves, too.
function position() {
  return Object.fromEntries(dims.map((dim, i) => [dim, Math.min(sliders[i].value, size_of(dim) - 1)]))
}

function ask() {
  const at = position(), taken = directions()
  for (const [source, what] of [
    [view, {
      output: output.value, x: x_name.value, y: y_name.value,
      at: Object.fromEntries(Object.entries(at).filter(([dim]) => !taken.includes(dim))),
      mean: dims.filter((dim, i) => means[i].active),
    }],
    [picked, at],
  ]) {
    const text = JSON.stringify(what)
    if (text !== source.data.said[0]) source.data = {said: [text]}
  }
}

function offer() {
  // Another output varies along other dimensions: keep the directions that it has, too.
  const names = names_of(output.value)
  const x = names.includes(x_name.value) ? x_name.value : names[0]
  let y = names.includes(y_name.value) ? y_name.value : ""
  if (y === x) y = ""
  x_name.options = names
  y_name.options = [["", "(the output)"], ...names.map((name) => [name, name])]
  x_name.value = x
  y_name.value = y
}

function show_sliders() {
  const taken = directions()
  dims.forEach((dim, i) => {
    const used = about.outputs[output.value].dims.includes(dim) && !taken.includes(dim)
    sliders[i].disabled = means[i].active || size_of(dim) === 1
    sliders[i].visible = means[i].visible = used
  })
}

function change() {
  if (cb_obj === output) offer()
  // A direction that was chosen twice: the other one gives way.
  if (x_name.value === y_name.value) {
    const rest = names_of(output.value).filter((name) => name !== cb_obj.value)
    if (cb_obj === y_name && rest.length > 0) x_name.value = rest[0]
    else y_name.value = ""
  }
  show_sliders()
  // Sliders that are dragged, and choosers that change each other, ask once, when they rest.
  clearTimeout(view.waiting)
  view.waiting = setTimeout(ask, patience)
}

// ---- answers in an exported page

function strides(shape) {
  const steps = new Array(shape.length).fill(1)
  for (let i = shape.length - 2; i >= 0; i--) steps[i] = steps[i + 1] * shape[i + 1]
  return steps
}

// The values over `kept` dimensions, at one index of the others, averaged over `mean`.
function slice(name, kept, at, mean) {
  const {dims: over, shape} = about.outputs[name]
  const values = sheet.data[name][0], step = strides(shape)
  const count = (list) => list.reduce((n, d) => n * shape[over.indexOf(d)], 1)
  const offset = (list, i) => {
    let total = 0
    for (let k = list.length - 1; k >= 0; k--) {
      const d = over.indexOf(list[k])
      total += (i % shape[d]) * step[d]
      i = Math.floor(i / shape[d])
    }
    return total
  }
  let start = 0
  over.forEach((d, i) => {
    if (!kept.includes(d) && !mean.includes(d)) start += (at[d] ?? 0) * step[i]
  })
  const others = Array.from({length: count(mean)}, (_, i) => offset(mean, i))
  const found = new Float32Array(count(kept))
  for (let i = 0; i < found.length; i++) {
    const here = start + offset(kept, i)
    let sum = 0, n = 0
    for (const other of others) {
      const value = values[here + other]
      if (!Number.isNaN(value)) { sum += value; n += 1 }
    }
    found[i] = n ? sum / n : NaN
  }
  return found
}

function along(name, always) {
  const member = member_of(name), even = always || member.numbers === null
  const at = even ? member.texts.map((_, i) => i) : member.numbers
  return {at, texts: even ? member.texts : null, label: member.label, step: 1}
}

function answer_view() {
  const {output: out, x, y, at, mean: wanted} = said(view)
  const dim_x = dim_of(x), dim_y = y === "" ? null : dim_of(y)
  const over = about.outputs[out].dims
  const kept = dim_y === null || dim_y === dim_x ? [dim_x] : [dim_y, dim_x]
  const mean = wanted.filter((dim) => over.includes(dim) && !kept.includes(dim))
  const notes = []
  for (const dim of over) {
    if (mean.includes(dim)) notes.push(`mean over ${dim}`)
    else if (!kept.includes(dim)) {
      for (const [name, m] of Object.entries(about.dims[dim].members))
        notes.push(`${name} = ${m.texts[at[dim]]}${m.units}`)
    }
  }
  const found = {
    kind: dim_y === null ? "line" : dim_y === dim_x ? "points" : "map",
    joined: Object.keys(about.dims[dim_x].members).length === 1,
    x: along(x, kept.length === 2),
    y: y === "" ? null : along(y, dim_y !== dim_x),
    label: about.outputs[out].label,
    note: notes.join(", "),
  }
  const data = {said: [JSON.stringify(found)], x: [found.x.at], z: [slice(out, kept, at, mean)]}
  if (found.y !== null) data.y = [found.y.at]
  frame.data = data
}

function answer_picked() {
  const at = said(picked), rows = [], data = {}
  for (const dim of about.grid)
    for (const [name, m] of Object.entries(about.dims[dim].members))
      rows.push([name, m.texts[at[dim] ?? 0], m.units])
  const n_parameters = rows.length
  for (const [name, out] of Object.entries(about.outputs)) {
    if (!(name in sheet.data)) continue
    const values = slice(name, out.own.slice(-2), at, [])
    if (out.own.length > 0) data[name] = [values]
    else rows.push([name, short(values[0]), out.units])
  }
  point.data = {said: [JSON.stringify({rows, n_parameters})], ...data}
}

// ---- drawing

function label(picture, i, direction) {
  const axis = [picture.figure.below[0], picture.figure.left[0]][i]
  axis.axis_label = direction.label
  picture.formats[i].args = {labels: direction.texts ?? null}
  picture.tickers[i].min_interval = direction.texts ? 1 : 0
}

function limits(values) {
  let low = Infinity, high = -Infinity
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  if (low > high) return [0, 1]
  return low === high ? [low - 0.5, high + 0.5] : [low, high]
}

function set_range(range, low, high) {
  range.setv({start: low, end: high, reset_start: low, reset_end: high})
}

function draw_map(picture, x, y, z) {
  const nx = x.at.length, ny = y.at.length
  const Cells = picture.source.data.z[0].constructor
  const [low, high] = limits(z)
  picture.mapper.setv({low, high})
  set_range(picture.figure.x_range, -0.5, nx - 0.5)
  set_range(picture.figure.y_range, -0.5, ny - 0.5)
  const z_cells = new Cells(Float32Array.from(z), [ny, nx])
  picture.source.data = {z: [z_cells], x: [-0.5], y: [-0.5], n: [nx], m: [ny]}
}

// Values are drawn along a line, or where `z` is given as coloured points.
function draw_line(picture, x, y, z, joined) {
  const [low, high] = limits(z ?? []), [left, right] = limits(x), [bottom, top] = limits(y)
  picture.mapper.setv({low, high})
  const pad = (a, b) => [a - 0.04 * (b - a), b + 0.04 * (b - a)]
  set_range(picture.figure.x_range, ...pad(left, right))
  set_range(picture.figure.y_range, ...pad(bottom, top))
  let order = Array.from(x.keys())
  if (joined) order.sort((i, j) => x[i] - x[j])
  const take = (values) => order.map((i) => values[i])
  const none = order.map(() => NaN)
  picture.dots.size = joined && x.length > 60 ? 0 : 6
  picture.source.data = {
    x: take(x), y: take(y), z: z === null ? none : take(z), line: joined ? take(y) : none,
  }
}

function draw_frame() {
  const found = said(frame), [map, line] = pictures
  const x = {...found.x, at: frame.data.x[0]}, z = frame.data.z[0]
  const y = found.y === null ? null : {...found.y, at: frame.data.y[0]}
  const picture = found.kind === "map" ? map : line
  map.figure.visible = found.kind === "map"
  line.figure.visible = found.kind !== "map"
  line.bar.visible = found.kind === "points"
  label(picture, 0, x)
  label(picture, 1, y ?? {label: found.label, texts: null})
  if (found.kind === "map") draw_map(picture, x, y, z)
  else if (y === null) draw_line(picture, x.at, z, null, found.joined)
  else draw_line(picture, x.at, y.at, z, false)
  picture.figure.title.text = found.note
  picture.bar.title = found.label
  draw_mark()
}

function draw_mark() {
  const found = said(frame), at = said(picked), [map, line] = pictures
  const picture = found.kind === "map" ? map : line
  const i = at[dim_of(x_name.value)], data = {x: [], y: []}
  if (i !== undefined && found.kind === "map") {
    const j = at[dim_of(y_name.value)]
    if (j !== undefined) {
      data.x = [i / found.x.step]
      data.y = [j / found.y.step]
    }
  } else if (i !== undefined && i % found.x.step === 0) {
    const k = i / found.x.step
    data.x = [frame.data.x[0][k]]
    data.y = [found.y === null ? frame.data.z[0][k] : frame.data.y[0][k]]
  }
  picture.mark.data = data
}

function draw_point() {
  const found = said(point)
  const line = ([name, value, units]) =>
    `<tr><td style="padding-right:1em">${safe(name)}</td><td><b>${safe(value)}</b>${safe(units)}</td></tr>`
  const part = (title, rows) =>
    rows.length ? `<tr><th colspan="2" style="text-align:left;padding-top:.4em">${title}</th></tr>${rows.map(line).join("")}` : ""
  const n = found.n_parameters
  table.text = `<table class="gridax-point">${part("Point", found.rows.slice(0, n))}` +
    `${part("Outputs", found.rows.slice(n))}${part("Fixed", about.fixed)}</table>`
  about.details.forEach((name, i) => {
    const picture = pictures[i + 2], out = about.outputs[name], values = point.data[name]
    picture.figure.visible = values !== undefined
    if (values === undefined) return
    const own = out.own.slice(-2), shown = own.map((dim) => Object.keys(about.dims[dim].members)[0])
    picture.figure.title.text = out.label
    if (own.length === 1) {
      const x = along(shown[0], false)
      label(picture, 0, x)
      label(picture, 1, {label: "", texts: null})
      picture.bar.visible = false
      draw_line(picture, x.at, values[0], null, true)
    } else {
      const [y, x] = shown.map((name) => along(name, true))
      label(picture, 0, x)
      label(picture, 1, y)
      draw_map(picture, x, y, values[0])
    }
  })
}

// ---- a click

function nearest(values, to) {
  let best = 0
  for (let i = 1; i < values.length; i++)
    if (Math.abs(values[i] - to) < Math.abs(values[best] - to)) best = i
  return best
}

function nearest_point(fig) {
  // On the screen, where the two directions have one unit.
  const [xs, ys] = [frame.data.x[0], said(frame).y === null ? frame.data.z[0] : frame.data.y[0]]
  const wide = fig.x_range.end - fig.x_range.start, high = fig.y_range.end - fig.y_range.start
  let best = 0, least = Infinity
  for (let i = 0; i < xs.length; i++) {
    const far = ((xs[i] - cb_obj.x) / wide) ** 2 + ((ys[i] - cb_obj.y) / high) ** 2
    if (far < least) { least = far; best = i }
  }
  return best
}

function click() {
  const found = said(frame), to = (dim, i) => { sliders[dims.indexOf(dim)].value = i }
  const dim_x = dim_of(x_name.value)
  if (found.kind === "map") {
    to(dim_x, nearest(frame.data.x[0], cb_obj.x) * found.x.step)
    to(dim_of(y_name.value), nearest(frame.data.y[0], cb_obj.y) * found.y.step)
  } else {
    to(dim_x, nearest_point(pictures[1].figure) * found.x.step)
  }
}

// ---- what happened

const widgets = [...choosers, ...sliders, ...means]
if (widgets.includes(cb_obj)) change()
else if (cb_obj === view) { if (exported) answer_view() }
else if (cb_obj === picked) { if (exported) answer_picked() }
else if (cb_obj === frame) draw_frame()
else if (cb_obj === point) { draw_point(); draw_mark() }
else if (cb_obj.event_name === "tap") click()
else { show_sliders(); draw_frame(); draw_point() }  // a figure that has been laid out
