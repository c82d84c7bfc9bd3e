// ---- the chosen point, by a click or by keys

function nearest(values, to) {
  let best = 0
  for (let i = 1; i < values.length; i++)
    if (Math.abs(values[i] - to) < Math.abs(values[best] - to)) best = i
  return best
}

// The places of all points in units of the screen.
function places() {
  const {x_range, y_range} = plots.line.figure, {joined, y} = parsed(frame)
  const xs = Array.from(frame.data.x[0], (value) => value / (x_range.end - x_range.start))
  const ys = Array.from(frame.data.y?.[0] ?? frame.data.z[0], (value) => value / (y_range.end - y_range.start))
  return joined && y === null ? [xs, xs.map(() => 0)] : [xs, ys]
}

// Nearest on the screen; on a line, nearest along x.
function nearest_point() {
  const {x_range, y_range} = plots.line.figure, [xs, ys] = places()
  const x = cb_obj.x / (x_range.end - x_range.start), y = cb_obj.y / (y_range.end - y_range.start)
  const {joined, y: over_y} = parsed(frame), flat = joined && over_y === null
  let best = 0, least = Infinity
  for (let i = 0; i < xs.length; i++) {
    const far = (xs[i] - x) ** 2 + (flat ? 0 : (ys[i] - y) ** 2)
    if (far < least) { least = far; best = i }
  }
  return best
}

function click() {
  const {kind, x, y} = parsed(frame)
  const to = ({name, step}, i) => move_to(dim_of(name), i * step)
  if (kind === "map") {
    to(x, nearest(frame.data.x[0], cb_obj.x))
    to(y, nearest(frame.data.y[0], cb_obj.y))
  } else {
    to(x, nearest_point())
  }
}

// The point that is next to another in one direction, rather ahead of it than beside it.
function neighbour(from, right, up) {
  const [xs, ys] = places()
  let best = from, least = Infinity
  for (let i = 0; i < xs.length; i++) {
    const dx = xs[i] - xs[from], dy = ys[i] - ys[from]
    const ahead = right * dx + up * dy, beside = Math.abs(up * dx) + Math.abs(right * dy)
    if (ahead > 1e-9 && ahead + 2 * beside < least) { least = ahead + 2 * beside; best = i }
  }
  return best
}

// Moves the mark, and returns whether there is something to move along.
function step_point(right, up, far) {
  const {kind, joined, x, y} = parsed(frame), at = position()
  const by = far ? 10 : 1
  const shift = ({name, step, at: all, texts}, n) => {
    const dim = dim_of(name), last = size_of(dim) - 1
    move_to(dim, Math.max(0, Math.min(last - last % step, at[dim] + n * by * step)))
  }
  if (kind === "map") shift(right ? x : y, right + up)
  else if (kind === "line" && up) return false
  else if (kind === "line" && joined) {
    const places = frame.data.x[0], order = Array.from(places.keys()).sort((i, j) => places[i] - places[j])
    const here = order.indexOf(Math.round(at[dim_of(x.name)] / x.step))
    const next = order[Math.max(0, Math.min(order.length - 1, here + right * by))]
    move_to(dim_of(x.name), next * x.step)
  } else {
    move_to(dim_of(x.name), neighbour(Math.round(at[dim_of(x.name)] / x.step), right, up) * x.step)
  }
  return true
}

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}

function on_key(event) {
  const arrow = ARROWS[event.key]
  if (arrow === undefined || event.ctrlKey || event.altKey || event.metaKey) return
  // Controls have a use for these keys themselves.
  if (event.composedPath()[0].matches?.("input, select, textarea, [role=slider]")) return
  if (!step_point(...arrow, event.shiftKey)) return
  event.preventDefault()
  event.stopPropagation()  // a notebook would go to another cell
}
