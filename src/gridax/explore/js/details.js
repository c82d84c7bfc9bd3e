// ---- one point

function draw_point() {
  const content = parsed(point)
  const part = (title, rows, open = "<b>") => rows.length === 0 ? "" :
    `<tr><th colspan="2">${title}</th></tr>` + rows.map(([name, value, units]) =>
      `<tr><td>${safe(name)}</td><td>${open}${safe(value)}</b>${safe(units)}</td></tr>`).join("")
  const values = content.values.map(([name, value, units]) =>
    [name, short(value, outputs.get(name).kind), units])
  const n_own = about.outputs.filter((out) => out.own.length > 0).length
  const left_out = n_own === content.shown.length ? "" :
    `<p>${content.shown.length} of ${n_own} outputs are plotted, always including the one chosen as Output.</p>`
  const pending = content.status === 0 ? [["", "not computed yet", ""]] : []
  table.text = `<table>${part("Point", content.parameters)}` +
    part("Status", pending) +
    part("Failed", content.error === "" ? [] : [["", content.error, ""]], '<b class="error">') +
    `${part("Outputs", values)}${part("Fixed", about.fixed)}</table>${left_out}`
  const free = [...details]
  content.shown.forEach((name, i) => {
    const out = outputs.get(name), kind = out.own.length === 1 ? "line" : "map"
    const k = free.findIndex((plot) => plot.kind === kind)
    draw_detail(free.splice(k, 1)[0], out, point.data[i][0])
  })
  for (const plot of free) plot.figure.visible = false
}

// Text on lines of at most some letters, where it has blanks.
function wrapped(text, letters) {
  const lines = [""]
  for (const word of text.split(" ")) {
    if (lines.at(-1) !== "" && lines.at(-1).length + word.length >= letters) lines.push(word)
    else lines[lines.length - 1] += (lines.at(-1) === "" ? "" : " ") + word
  }
  return lines.join("\n")
}

function draw_detail(plot, out, values) {
  const names = out.own.slice(-2).map((dim) => members_of(dim)[0].name)
  const is_bool = out.kind === "b", [low, high] = is_bool ? [-0.5, 1.5] : extent(values)
  const kind = is_bool ? "texts" : "iu".includes(out.kind) ? "integer" : "number"
  const palette = is_bool ? [colors()[40], colors()[215]] : colors()
  const style = {shown: values, low, high, palette, is_bool, scale: {kind}, texts: ["False", "True"]}
  plot.figure.title.text = plain(wrapped(out.label, 36))
  plot.figure.visible = true
  if (plot.kind === "line") {
    const x = along(names[0], false)
    set_axis(plot, 0, x)
    set_axis(plot, 1, {...style, label: ""})
    plot.bar.visible = false
    draw_line(plot, x, null, values, style, true)
    set_hover(plot, x, null, out, false)
  } else {
    const [y, x] = names.map((name) => along(name, true))
    set_axis(plot, 0, x)
    set_axis(plot, 1, y)
    draw_map(plot, x, y, values, style)
    set_hover(plot, x, y, out, false)
  }
}
