// ---- light and dark

const system_dark = matchMedia("(prefers-color-scheme: dark)")

function is_dark() {
  if (looks.theme.value !== "auto") return looks.theme.value === "dark"
  // A notebook has a theme of its own.
  const {jpThemeLight, vscodeThemeKind} = document.body?.dataset ?? {}
  if (!is_page && jpThemeLight !== undefined) return jpThemeLight === "false"
  if (!is_page && vscodeThemeKind !== undefined) return !vscodeThemeKind.includes("light")
  return system_dark.matches
}

const theme = () => themes[is_dark() ? "dark" : "light"]

// Colors belong to this browser, and a server needs not to know them.
const only_here = {sync: false}

function paint() {
  const {page, text, muted, border, grid, line} = theme(), scheme = is_dark() ? "dark" : "light"
  root.setv({styles: {...root.styles, "color-scheme": scheme}}, only_here)
  if (is_page) {
    document.documentElement.style.colorScheme = scheme
    document.documentElement.style.background = page
    document.body.style.background = page
  }
  for (const plot of [plots.map, plots.line, ...details]) {
    const {figure, bar, curve, dots} = plot
    figure.setv({background_fill_color: page, border_fill_color: page, outline_line_color: grid}, only_here)
    figure.title.setv({text_color: text}, only_here)
    for (const axis of axes_of(plot))
      axis.setv({
        axis_line_color: border, major_tick_line_color: border,
        major_label_text_color: text, axis_label_text_color: text,
        major_label_text_font_size: "12px", axis_label_text_font_size: "13px",
      }, only_here)
    for (const lines of figure.center) lines.setv({grid_line_color: grid}, only_here)
    bar.setv({
      background_fill_color: page, major_tick_line_color: border, bar_line_color: border,
      major_label_text_color: text, title_text_color: text,
      major_label_text_font_size: "12px", title_text_font_size: "13px",
    }, only_here)
    if (curve !== undefined) {
      curve.setv({line_color: line}, only_here)
      dots.setv({line_color: muted}, only_here)  // dark colors are hard to see on a dark page
    }
  }
}
