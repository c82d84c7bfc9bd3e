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

function paint() {
  const {page, text, muted, border, grid, line, none} = theme(), scheme = is_dark() ? "dark" : "light"
  root.styles = {...root.styles, "color-scheme": scheme}
  if (is_page) {
    document.documentElement.style.colorScheme = scheme
    document.documentElement.style.background = page
    document.body.style.background = page
  }
  for (const plot of [plots.map, plots.line, ...details]) {
    const {figure, bar, curve, dots} = plot
    figure.setv({background_fill_color: page, border_fill_color: page, outline_line_color: grid})
    figure.title.text_color = text
    for (const axis of axes_of(plot))
      axis.setv({
        axis_line_color: border, major_tick_line_color: border,
        major_label_text_color: text, axis_label_text_color: text,
        major_label_text_font_size: "12px", axis_label_text_font_size: "13px",
      })
    for (const lines of figure.center) lines.grid_line_color = grid
    bar.setv({
      background_fill_color: page, major_tick_line_color: border, bar_line_color: border,
      major_label_text_color: text, title_text_color: text,
      major_label_text_font_size: "12px", title_text_font_size: "13px",
    })
    if (curve !== undefined) {
      curve.line_color = line
      dots.line_color = muted  // dark colors are hard to see on a dark page
    }
  }
}
