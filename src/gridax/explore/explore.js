// The part of an explorer that runs in the browser.
// A single callback handles all events; `cb_obj` is the model that triggered it.
//
//   choosers, sliders, checkboxes  ->  view      the slice to show, as JSON
//   a click on a plot              ->  picked    the index of a point along each dimension, as JSON
//   frame, point                   ->  the plots and the table
//
// In a live explorer, Python answers `view` with `frame` and `picked` with `point`. In an exported page,
// `sheet` holds all outputs, and the answers are computed here as `Cube.frame` and `Cube.point` do.

const about = (view.about ??= JSON.parse(spec))
const {dims} = about
const outputs = new Map(about.outputs.map((out) => [out.name, out]))
const members = new Map(about.members.map((member) => [member.name, member]))
const [output, x_name, y_name] = choosers
const exported = sheet.data.ready !== undefined

const parsed = (source) => JSON.parse(source.data.json[0])
const dim_of = (name) => members.get(name).dim
const members_of = (dim) => about.members.filter((member) => member.dim === dim)
const size_of = (dim) => members_of(dim)[0].texts.length
const names_of = (out) => outputs.get(out).dims.flatMap((d) => members_of(d).map((m) => m.name))
const safe = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
// Bokeh renders text between two of these marks as a formula, which would let HTML through.
const plain = (text) => text.replace(/\$\$|\\[([]/g, (mark) => `${mark[0]}\u200b${mark[1]}`)

function short(value, kind) {
  if (typeof value === "string") return value
  if (Number.isNaN(value)) return "nan"
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf"
  if (kind === "b") return value ? "True" : "False"
  return kind === "f" ? Number(value.toPrecision(6)).toString() : value.toString()
}

// ---- the slice to show

function directions() {
  return [x_name.value, y_name.value].filter((name) => name !== "").map(dim_of)
}

// The index along every dimension, as set by the sliders, which a click moves as well.
function position() {
  return Object.fromEntries(dims.map((dim, i) => [dim, Math.min(sliders[i].value, size_of(dim) - 1)]))
}

// The outputs to plot for one point; the same choice as in `Cube.details`.
function shown_outputs() {
  const names = about.outputs.filter((out) => out.own.length > 0).map((out) => out.name)
  const first = names.includes(output.value) ? [output.value] : []
  return [...first, ...names.filter((name) => name !== output.value)].slice(0, about.most.details)
}

function ask() {
  const at = position(), taken = directions()
  for (const [source, what] of [
    [view, {
      output: output.value, x: x_name.value, y: y_name.value,
      at: Object.fromEntries(Object.entries(at).filter(([dim]) => !taken.includes(dim))),
      mean: dims.filter((dim, i) => means[i].active),
    }],
    [picked, {at, shown: shown_outputs()}],
  ]) {
    const text = JSON.stringify(what)
    if (text !== source.data.json[0]) source.data = {json: [text]}
  }
}

function offer() {
  // Another output may vary along other dimensions: keep the directions that both have.
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
    const used = outputs.get(output.value).dims.includes(dim) && !taken.includes(dim)
    sliders[i].disabled = means[i].active || size_of(dim) === 1
    sliders[i].visible = means[i].visible = used
  })
}

function change() {
  if (cb_obj === output) offer()
  // If the same direction is chosen twice, the other chooser gives way.
  if (x_name.value === y_name.value) {
    const rest = names_of(output.value).filter((name) => name !== cb_obj.value)
    if (cb_obj === y_name && rest.length > 0) x_name.value = rest[0]
    else y_name.value = ""
  }
  show_sliders()
  // A dragged slider, or choosers that change each other, ask only once, after a pause.
  clearTimeout(view.waiting)
  view.waiting = setTimeout(ask, patience)
}

// ---- answers in an exported page

const strides = (shape) => shape.map((_, i) => shape.slice(i + 1).reduce((n, size) => n * size, 1))

// The values over the `kept` dimensions, with a step along each, averaged over `mean`.
function slice(out, kept, at, mean = [], steps = []) {
  const values = sheet.data[about.outputs.indexOf(out)][0], stride = strides(out.shape)
  const offsets = (list, by) => list.reduce((starts, dim, k) => {
    const i = out.dims.indexOf(dim), along = []
    for (let n = 0; n < out.shape[i]; n += by[k] ?? 1) along.push(n * stride[i])
    return starts.flatMap((offset) => along.map((more) => offset + more))
  }, [0])
  let start = 0
  out.dims.forEach((dim, i) => {
    if (!kept.includes(dim) && !mean.includes(dim)) start += (at[dim] ?? 0) * stride[i]
  })
  const others = offsets(mean, [])
  return Float32Array.from(offsets(kept, steps), (offset) => {
    let sum = 0, n = 0
    for (const other of others) {
      const value = values[start + offset + other]
      if (!Number.isNaN(value)) { sum += value; n += 1 }
    }
    return n ? sum / n : NaN
  })
}

function steps_of(sizes, most) {
  const steps = sizes.map(() => 1)
  while (sizes.reduce((n, size, i) => n * Math.ceil(size / steps[i]), 1) > most) {
    const left = sizes.map((size, i) => size / steps[i])
    steps[left.indexOf(Math.max(...left))] += 1
  }
  return steps
}

function along(name, always, step = 1) {
  const {numbers, texts, label} = members.get(name)
  const part = (list) => step === 1 ? list : list.filter((_, i) => i % step === 0)
  const content = {name, label, step, texts: part(texts)}
  if (always) return {...content, at: content.texts.map((_, i) => i)}
  if (numbers !== null) return {...content, at: part(numbers), texts: null}
  const places = new Map(Array.from(new Set(content.texts), (text, i) => [text, i]))
  return {...content, at: content.texts.map((text) => places.get(text)), texts: [...places.keys()]}
}

function answer_view() {
  const {output: name, x, y, at, mean: wanted} = parsed(view), out = outputs.get(name)
  const dim_x = dim_of(x), dim_y = y === "" ? null : dim_of(y)
  const kind = dim_y === null ? "line" : dim_y === dim_x ? "points" : "map"
  const kept = kind === "map" ? [dim_y, dim_x] : [dim_x]
  const mean = wanted.filter((dim) => out.dims.includes(dim) && !kept.includes(dim))
  const steps = steps_of(kept.map((dim) => out.shape[out.dims.indexOf(dim)]), about.most[kind])
  const notes = []
  for (const dim of out.dims) {
    if (mean.includes(dim)) notes.push(`mean over ${dim}`)
    else if (!kept.includes(dim))
      for (const m of members_of(dim)) notes.push(`${m.name} = ${m.texts[at[dim]]}${m.units}`)
  }
  kept.forEach((dim, i) => { if (steps[i] > 1) notes.push(`one in ${steps[i]} along ${dim} is shown`) })
  const content = {
    kind,
    joined: members_of(dim_x).length === 1,
    x: along(x, kind === "map", steps.at(-1)),
    y: y === "" ? null : along(y, kind === "map", steps[0]),
    label: out.label,
    note: notes.join(", "),
  }
  const z = slice(out, kept, at, mean, steps)
  const data = {json: [JSON.stringify(content)], x: [content.x.at], z: [z]}
  if (content.y !== null) data.y = [content.y.at]
  frame.data = data
}

function answer_picked() {
  const {at, shown} = parsed(picked), arrays = {}
  const {dims: over, shape, at: errors} = JSON.parse(sheet.data.errors[0]), stride = strides(shape)
  const error = errors[over.reduce((n, dim, i) => n + at[dim] * stride[i], 0)] ?? ""
  const parameters = about.grid.flatMap((dim) =>
    members_of(dim).map((m) => [m.name, m.texts[at[dim]], m.units]))
  const values = about.outputs.filter((out) => out.own.length === 0).map((out) => {
    const value = slice(out, [], at)[0]  // 32-bit floats have seven digits
    const known = Math.abs(value) < 2 ** 24 ? value : Number(value.toPrecision(7))
    return [out.name, short(known, out.kind), out.units]
  })
  shown.forEach((name, i) => {
    const out = outputs.get(name)
    arrays[i] = [slice(out, out.own.slice(-2), at)]
  })
  point.data = {json: [JSON.stringify({parameters, values, error, shown})], ...arrays}
}

// ---- drawing

function label(plot, i, direction) {
  const axis = [plot.figure.below[0], plot.figure.left[0]][i]
  axis.axis_label = plain(direction.label)
  plot.formats[i].args = {...plot.formats[i].args, labels: direction.texts ?? null}
  plot.tickers[i].min_interval = direction.texts ? 1 : 0
  // Long texts below a plot would overlap.
  const long = i === 0 && direction.texts?.some((text) => text.length > 10)
  axis.major_label_orientation = long ? 0.7 : "horizontal"
  plot.hovers[i].args = {labels: direction.texts ?? null}
}

function limits(values) {
  let low = Infinity, high = -Infinity
  for (const value of values) {
    if (!Number.isFinite(value)) continue
    if (value < low) low = value
    if (value > high) high = value
  }
  if (low > high) return [0, 1]
  return low === high ? [low - 0.5, high + 0.5] : [low, high]
}

// `keep` preserves the range that a user has zoomed into.
function set_range(range, low, high, keep) {
  range.setv({reset_start: low, reset_end: high, ...(keep ? {} : {start: low, end: high})})
}

function draw_map(plot, x, y, z, keep = false) {
  const nx = x.at.length, ny = y.at.length
  const Cells = plot.source.data.z[0].constructor
  const [low, high] = limits(z)
  plot.mapper.setv({low, high})
  set_range(plot.figure.x_range, -0.5, nx - 0.5, keep)
  set_range(plot.figure.y_range, -0.5, ny - 0.5, keep)
  const z_cells = new Cells(Float32Array.from(z), [ny, nx])
  plot.source.data = {z: [z_cells], x: [-0.5], y: [-0.5], n: [nx], m: [ny]}
}

// Draws a line, or colored points where `z` is given.
function draw_line(plot, x, y, z, joined, keep = false) {
  const [low, high] = limits(z ?? []), [left, right] = limits(x), [bottom, top] = limits(y)
  plot.mapper.setv({low, high})
  const pad = (a, b) => [a - 0.04 * (b - a), b + 0.04 * (b - a)]
  set_range(plot.figure.x_range, ...pad(left, right), keep)
  set_range(plot.figure.y_range, ...pad(bottom, top), keep && z !== null)
  let order = Array.from(x.keys())
  if (joined) order.sort((i, j) => x[i] - x[j])
  const take = (values) => order.map((i) => values[i])
  const none = order.map(() => NaN)
  const seen = joined && x.length > 60 ? 0 : 1  // on long lines, dots only serve the pointer
  plot.dots.setv({fill_alpha: seen, line_alpha: seen})
  plot.source.data = {
    x: take(x), y: take(y), z: z === null ? none : take(z), line: joined ? take(y) : none,
  }
}

function draw_frame() {
  const content = parsed(frame), {map, line} = plots
  const x = {...content.x, at: frame.data.x[0]}, z = frame.data.z[0]
  const y = content.y === null ? null : {...content.y, at: frame.data.y[0]}
  const plot = content.kind === "map" ? map : line
  map.figure.visible = content.kind === "map"
  line.figure.visible = content.kind !== "map"
  line.bar.visible = content.kind === "points"
  label(plot, 0, x)
  label(plot, 1, y ?? {label: content.label, texts: null})
  const over = JSON.stringify([x.name, y?.name]), keep = over === plot.figure.over
  plot.figure.over = over
  if (content.kind === "map") draw_map(plot, x, y, z, keep)
  else if (y === null) draw_line(plot, x.at, z, null, content.joined, keep)
  else draw_line(plot, x.at, y.at, z, false, keep)
  plot.bar.title = plain(content.label)
  const empty = z.every(Number.isNaN) ? ["all values are NaN"] : []
  note.text = safe([content.note, ...empty].filter((part) => part !== "").join(", "))
  draw_mark()
}

function draw_mark() {
  const content = parsed(frame), {at} = parsed(picked), data = {x: [], y: []}
  const i = at[dim_of(content.x.name)] / content.x.step
  if (content.kind === "map") {
    data.x = [i]
    data.y = [at[dim_of(content.y.name)] / content.y.step]
  } else if (Number.isInteger(i)) {
    data.x = [frame.data.x[0][i]]
    data.y = [content.y === null ? frame.data.z[0][i] : frame.data.y[0][i]]
  }
  plots[content.kind === "map" ? "map" : "line"].mark.data = data
}

function draw_point() {
  const content = parsed(point)
  const part = (title, rows) => rows.length === 0 ? "" :
    `<tr><th colspan="2">${title}</th></tr>` + rows.map(([name, value, units]) =>
      `<tr><td>${safe(name)}</td><td><b>${safe(value)}</b>${safe(units)}</td></tr>`).join("")
  const values = content.values.map(([name, value, units]) =>
    [name, short(value, outputs.get(name).kind), units])
  const n_own = about.outputs.filter((out) => out.own.length > 0).length
  const left_out = n_own === content.shown.length ? "" :
    `<p>${content.shown.length} of ${n_own} outputs are plotted, always including the one chosen as Output.</p>`
  table.text = `<table>${part("Point", content.parameters)}` +
    part("Failed", content.error === "" ? [] : [["", content.error, ""]]) +
    `${part("Outputs", values)}${part("Fixed", about.fixed)}</table>${left_out}`
  const free = [...details]
  content.shown.forEach((name, i) => {
    const out = outputs.get(name), kind = out.own.length === 1 ? "line" : "map"
    const k = free.findIndex((plot) => plot.kind === kind)
    draw_detail(free.splice(k, 1)[0], out, point.data[i][0])
  })
  for (const plot of free) plot.figure.visible = false
}

function draw_detail(plot, out, values) {
  const names = out.own.slice(-2).map((dim) => members_of(dim)[0].name)
  plot.figure.title.text = plain(out.label)
  plot.figure.visible = true
  if (plot.kind === "line") {
    const x = along(names[0], false)
    label(plot, 0, x)
    label(plot, 1, {label: "", texts: null})
    plot.bar.visible = false
    draw_line(plot, x.at, values, null, true)
  } else {
    const [y, x] = names.map((name) => along(name, true))
    label(plot, 0, x)
    label(plot, 1, y)
    draw_map(plot, x, y, values)
  }
}

// ---- a click

function nearest(values, to) {
  let best = 0
  for (let i = 1; i < values.length; i++)
    if (Math.abs(values[i] - to) < Math.abs(values[best] - to)) best = i
  return best
}

// Nearest in units of the screen; on a line, nearest along x.
function nearest_point({x_range, y_range}, joined) {
  const [xs, ys] = [frame.data.x[0], frame.data.y?.[0] ?? frame.data.z[0]]
  const wide = x_range.end - x_range.start, high = y_range.end - y_range.start
  let best = 0, least = Infinity
  for (let i = 0; i < xs.length; i++) {
    const up = joined ? 0 : (ys[i] - cb_obj.y) / high
    const far = ((xs[i] - cb_obj.x) / wide) ** 2 + up ** 2
    if (far < least) { least = far; best = i }
  }
  return best
}

function click() {
  const {kind, joined, x, y} = parsed(frame)
  const to = ({name, step}, i) => { sliders[dims.indexOf(dim_of(name))].value = i * step }
  if (kind === "map") {
    to(x, nearest(frame.data.x[0], cb_obj.x))
    to(y, nearest(frame.data.y[0], cb_obj.y))
  } else {
    to(x, nearest_point(plots.line.figure, joined && y === null))
  }
}

// ---- dispatch

const widgets = [...choosers, ...sliders, ...means]
if (widgets.includes(cb_obj)) change()
else if (cb_obj === view) { if (exported) answer_view() }
else if (cb_obj === picked) { draw_mark(); if (exported) answer_picked() }
else if (cb_obj === frame) draw_frame()
else if (cb_obj === point) draw_point()
else if (cb_obj.event_name === "tap") click()
else { show_sliders(); draw_frame(); draw_point() }  // a figure has been laid out
