// The part of an explorer that runs in the browser.
// A single callback handles all events; `cb_obj` is the model that triggered it.
//
//   choosers, movers, checkboxes   ->  view      the slice to show, as JSON
//   a click on a plot, arrow keys  ->  picked    the index of a point along each dimension, as JSON
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

// ---- the slice to show

function directions() {
  return [x_name.value, y_name.value].filter((name) => name !== "").map(dim_of)
}

// A mover is a slider, or a drop-down whose values are texts.
const index_of = (i) => Math.min(Number(movers[i].value), size_of(dims[i]) - 1)
function move_to(dim, index) {
  const mover = movers[dims.indexOf(dim)]
  mover.value = typeof mover.value === "string" ? `${index}` : index
}

// The index along every dimension, as set by the movers, which a click moves as well.
function position() {
  return Object.fromEntries(dims.map((dim, i) => [dim, index_of(i)]))
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
  const options = names.map((name) => [name, members.get(name).title])
  const x = names.includes(x_name.value) ? x_name.value : names[0]
  let y = names.includes(y_name.value) ? y_name.value : ""
  if (y === x) y = ""
  x_name.options = options
  y_name.options = [["", "(values, as a line)"], ...options]
  x_name.value = x
  y_name.value = y
  // Limits of the colors belong to the output for which they were chosen.
  looks.keep.active = false
  looks.low.value = looks.high.value = null
}

function show_movers() {
  const taken = directions()
  dims.forEach((dim, i) => {
    const used = outputs.get(output.value).dims.includes(dim) && !taken.includes(dim)
    movers[i].disabled = means[i].active || size_of(dim) === 1
    movers[i].visible = used
    means[i].visible = used && size_of(dim) > 1
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
  show_movers()
  // A dragged slider, or choosers that change each other, ask only once, after a pause.
  clearTimeout(view.waiting)
  view.waiting = setTimeout(ask, patience)
}
