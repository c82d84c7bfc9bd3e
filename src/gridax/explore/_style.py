"""Colors and style sheets of an explorer, in a light and a dark theme."""

from __future__ import annotations

# Names of Bokeh's color maps; those with "_r" are reversed, as in matplotlib.
_SEQUENTIAL = ("viridis", "cividis", "magma", "inferno", "plasma", "turbo", "gray")
_DIVERGING = ("RdBu", "BrBG")
PALETTES = tuple(f"{n}{end}" for end in ("", "_r") for n in (*_SEQUENTIAL, *_DIVERGING))

# The contrast between text and background is at least 7 (muted text: 5), as WCAG AA wants, and that
# of the borders of controls at least 3.
THEMES: dict[str, dict[str, str]] = {
    "light": {
        "page": "#ffffff",
        "text": "#1b1f24",
        "muted": "#57606a",
        "border": "#858d96",
        "grid": "#e4e7eb",
        "field": "#ffffff",
        "accent": "#0b62c4",
        "line": "#1f6fb2",
        "none": "#d3d6da",
        "error": "#b3261e",
    },
    "dark": {
        "page": "#14171c",
        "text": "#e8eaee",
        "muted": "#a9b1bc",
        "border": "#77818d",
        "grid": "#2b3138",
        "field": "#1d2229",
        "accent": "#6cb2ff",
        "line": "#7fc3ff",
        "none": "#6a717b",
        "error": "#ff9c94",
    },
}


def palettes() -> dict[str, list[str]]:
    """Return the colors of all color maps, as a browser needs them."""
    from bokeh import palettes as known

    colors = {
        "gray": known.Greys256,
        "RdBu": known.interp_palette(known.RdBu11[::-1], 256),
        "BrBG": known.interp_palette(known.BrBG11[::-1], 256),
    }
    colors |= {n: getattr(known, f"{n.title()}256") for n in _SEQUENTIAL if n != "gray"}
    return {name: list(colors[name]) for name in (*_SEQUENTIAL, *_DIVERGING)}


def _both(name: str) -> str:
    return f"light-dark({THEMES['light'][name]}, {THEMES['dark'][name]})"


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

# Controls that a finger can hit.
_TOUCH = """
@media (pointer: coarse), (max-width: 640px) {
  .bk-input { min-height: 44px !important; font-size: 16px !important }
  input[type=checkbox] + .bk-label { padding: 10px 0 10px 28px }
  input[type=checkbox] + .bk-label::before {
    width: 22px; height: 22px; line-height: 22px; top: 8px;
  }
  :host { --handle-width: 28px; --handle-height: 28px; --slider-size: 12px }
  .noUi-horizontal { height: 12px !important }
  .noUi-horizontal .noUi-handle {
    width: 28px !important; height: 28px !important; right: -14px !important; top: -9px !important;
  }
}
"""

# Explicit rules rather than Bokeh's variables, which older versions do not have.
CONTROL = f"""
:host {{
  color: {_both("text")}; font: 13px/1.4 {FONT}; --base-font: {FONT};
  max-width: 100%; min-width: 0 !important; box-sizing: border-box;
}}
.bk-input-group {{ white-space: normal }}
label, .bk-slider-title, .bk-slider-value {{
  color: {_both("text")}; white-space: normal; overflow-wrap: anywhere;
}}
.bk-input {{
  color: {_both("text")}; background-color: {_both("field")}; border: 1px solid {_both("border")};
  text-overflow: ellipsis; font: inherit;
}}
.bk-input::placeholder {{ color: {_both("muted")} !important; opacity: 1 }}
.bk-input:focus, .noUi-handle:focus-visible, input:focus-visible {{
  outline: 2px solid {_both("accent")}; outline-offset: 1px; box-shadow: none;
}}
select.bk-input {{ appearance: auto !important; background-image: none !important; padding: 0 8px }}
select.bk-input option {{ color: {_both("text")}; background-color: {_both("field")} }}
/* Bokeh's check boxes do not react to a click on their label: they get its size, and a new box. */
input[type=checkbox] {{
  appearance: none; position: absolute; inset: 0; width: 100%; height: 100%; margin: 0;
  cursor: pointer;
}}
input[type=checkbox] + .bk-label {{
  display: inline-block; position: relative; top: 0; margin: 0; padding: 3px 0 3px 24px;
  pointer-events: none;
}}
input[type=checkbox] + .bk-label::before {{
  content: ""; position: absolute; left: 0; top: 4px; width: 15px; height: 15px; line-height: 15px;
  border: 1px solid {_both("border")}; border-radius: 3px; background: {_both("field")};
  color: {_both("page")}; text-align: center; font-size: 13px;
}}
input[type=checkbox]:checked + .bk-label::before {{
  content: "✓"; background: {_both("accent")}; border-color: {_both("accent")};
}}
input[disabled] + .bk-label {{ opacity: 0.55 }}
.noUi-target {{
  background: {_both("grid")}; border: 1px solid {_both("border")}; box-shadow: none;
}}
.noUi-connect {{ background: {_both("accent")} !important }}
.noUi-handle {{
  background: {_both("field")}; border: 2px solid {_both("accent")}; box-shadow: none;
  border-radius: 50%;
}}
[disabled] {{ opacity: 0.55 }}
{_TOUCH}"""

TEXT = f"""
:host {{
  color: {_both("text")}; font: 13px/1.45 {FONT}; max-width: 100%; min-width: 0;
  overflow-wrap: anywhere;
}}
.bk-clearfix {{ display: block; width: 100% }}
h1 {{ font-size: 15px; font-weight: 600; margin: 0 }}
small, p, .muted {{ color: {_both("muted")}; font-size: 12px; margin: 0 }}
kbd {{
  font: inherit; border: 1px solid {_both("border")}; border-radius: 3px; padding: 0 3px;
}}
.error {{ color: {_both("error")} }}
table {{ border-collapse: collapse }}
th {{
  text-align: left; padding: .6em 0 .1em; color: {_both("muted")}; font-weight: 600;
}}
td {{ vertical-align: top; overflow-wrap: anywhere; padding: 1px 0 }}
td:first-child {{ padding-right: 1.2em; overflow-wrap: break-word; max-width: 12em }}
td b {{ font-weight: 600; font-variant-numeric: tabular-nums }}
"""

# Of a whole explorer, and of its parts; they wrap where they do not fit beside each other.
ROOT = f"""
:host {{
  color: {_both("text")}; background: {_both("page")}; font-family: {FONT};
  display: flex; flex-wrap: wrap; gap: 8px 20px; width: 100%; max-width: 100%; padding: 10px;
  box-sizing: border-box; align-items: flex-start; container-type: inline-size;
  --bokeh-icon-color: {_both("muted")};
}}
:host(:focus-visible) {{ outline: 2px solid {_both("accent")}; outline-offset: -2px }}
"""
PART = ":host { min-width: 0; max-width: 100%; box-sizing: border-box }"
# The controls beside a plot are no wider than they need to be.
SIDE = "@container (min-width: 740px) { :host { max-width: 270px } }"
PLOT = """
:host { max-width: 100%; min-width: 0 }
"""
TOOLBAR = """
.bk-divider { opacity: 0.3 }
@media (pointer: coarse) { :host { --button-width: 40px; --button-height: 40px } }
"""
