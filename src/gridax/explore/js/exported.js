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
  return Float64Array.from(offsets(kept, steps), (offset) => {
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

function along(name, even_cells, step = 1) {
  const {numbers, even, texts, label, title, units, kind} = members.get(name)
  const part = (list) => step === 1 ? list : list.filter((_, i) => i % step === 0)
  const content = {name, label, title, units, step, texts: part(texts)}
  if (even_cells || (numbers === null && even !== null)) {
    const scale = even === null ? {kind: "texts"} : {...even, step: step * even.step}
    return {...content, scale, at: content.texts.map((_, i) => i)}
  }
  if (numbers !== null) return {...content, at: part(numbers), scale: {kind, start: 0, step: 1}}
  const places = new Map(Array.from(new Set(content.texts), (text, i) => [text, i]))
  const at = content.texts.map((text) => places.get(text))
  return {...content, at, texts: [...places.keys()], scale: {kind: "texts"}}
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
    output: name,
    kind,
    joined: members_of(dim_x).length === 1,
    x: along(x, kind === "map", steps.at(-1)),
    y: y === "" ? null : along(y, kind === "map", steps[0]),
    mean,
    note: notes.join(", "),
  }
  const z = slice(out, kept, at, mean, steps)
  const data = {json: [JSON.stringify(content)], x: [content.x.at], z: [z]}
  if (content.y !== null) data.y = [content.y.at]
  frame.data = data
}

function answer_picked() {
  const {at, shown} = parsed(picked), arrays = {}
  const states = JSON.parse(sheet.data.states[0]), stride = strides(states.shape)
  const here = states.dims.reduce((n, dim, i) => n + (at[dim] ?? 0) * stride[i], 0)
  const parameters = about.grid.flatMap((dim) =>
    members_of(dim).map((m) => [m.name, m.texts[at[dim]], m.units]))
  const values = about.outputs.filter((out) => out.own.length === 0).map((out) => {
    const value = slice(out, [], at)[0]
    return [out.name, short(value, out.kind), out.units]
  })
  shown.forEach((name, i) => {
    const out = outputs.get(name)
    arrays[i] = [slice(out, out.own.slice(-2), at)]
  })
  const status = states.status[here] ?? 1, error = states.error[here] ?? ""
  point.data = {json: [JSON.stringify({parameters, values, status, error, shown})], ...arrays}
}
