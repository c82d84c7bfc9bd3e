// ---- once the page is laid out

const element = () => Bokeh.index.find_one(root)?.el

function set_up() {
  const el = element()
  if (el == null || view.is_set_up) return
  view.is_set_up = true
  system_dark.addEventListener("change", () => { paint(); draw_frame(); draw_point() })
  // Of a page, keys need no click before; a notebook has several explorers.
  el.tabIndex = is_page ? -1 : 0
  const target = is_page ? document : el
  target.addEventListener("keydown", on_key)
  if (is_page && document.querySelector("meta[name=viewport]") === null) {
    const meta = Object.assign(document.createElement("meta"), {name: "viewport", content: "width=device-width, initial-scale=1"})
    document.head.append(meta)
  }
  // A finger that scrolls the page must not move the picture.
  if (matchMedia("(pointer: coarse)").matches)
    for (const {figure} of [plots.map, plots.line, ...details])
      for (const tool of figure.toolbar.tools) if (tool.type === "PanTool") tool.active = false
}

function fit() {
  const width = element()?.clientWidth ?? 0
  if (width === 0) return
  for (const {figure} of [plots.map, plots.line]) figure.height = width < 600 ? 400 : 560
}

function keep_limits() {
  const {automatic} = value_style(outputs.get(parsed(frame).output), frame.data.z[0], parsed(frame).mean.length > 0)
  const [low, high] = looks.keep.active ? automatic.map((n) => Number(n.toPrecision(6))) : [null, null]
  if (looks.keep.active) {
    looks.low.value ??= low
    looks.high.value ??= high
  } else {
    looks.low.value = looks.high.value = null
  }
}

// ---- dispatch

const widgets = [...choosers, ...movers, ...means]
if (widgets.includes(cb_obj)) change()
else if (cb_obj === looks.theme) { paint(); draw_frame(); draw_point() }
else if (cb_obj === looks.keep) { keep_limits(); draw_frame() }
else if (Object.values(looks).includes(cb_obj)) { draw_frame(); draw_point() }
else if (cb_obj === view) { if (exported) answer_view() }
else if (cb_obj === picked) { draw_mark(); if (exported) answer_picked() }
else if (cb_obj === frame) draw_frame()
else if (cb_obj === point) draw_point()
else if (cb_obj.event_name === "tap") click()
else { set_up(); fit(); paint(); show_movers(); draw_frame(); draw_point() }  // a figure has been laid out
