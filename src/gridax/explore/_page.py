"""An explorer as one HTML file."""

from __future__ import annotations

import functools
import html
from collections.abc import Mapping
from typing import Any

from gridax import _memory
from gridax._text import listing
from gridax.explore._style import THEMES


def page(layout: Any, title: str) -> str:
    """Return one HTML page with Bokeh's code in it.

    Bokeh's own `file_html` would refer to files of Panel as well, once Panel is imported.
    """
    from bokeh.embed import components

    script, div = components(layout, wrap_script=True)
    light, dark = THEMES["light"]["page"], THEMES["dark"]["page"]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n"
        f":root {{ color-scheme: light dark; background: light-dark({light}, {dark}) }}\n"
        f"body {{ margin: 0 }}\n</style>\n{_code()}\n</head>\n"
        f"<body>\n{div}\n{script}\n</body>\n</html>\n"
    )


@functools.cache
def _code() -> str:
    from bokeh.resources import Resources

    raw = Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).js_raw
    return "\n".join(f"<script>\n{part}\n</script>" for part in raw)


def check_size(
    nbytes: Mapping[str, int], sizes: Mapping[str, int], most: int, known: int | None = None
) -> None:
    """Reject a page that would be too large, and tell how to make it smaller.

    Parameters
    ----------
    nbytes : bytes of each output and of the labels, as `Cube.nbytes` estimates them.
    sizes : sizes of the dimensions.
    most : upper limit of the bytes of the file.
    known : size of the page, once it has been written.
    """
    code = len(_code())
    total = known or sum(nbytes.values()) + code
    # An estimate is a little off; what is near the limit is written, and its size is known then.
    if total <= most * (1 if known else 1.05):
        return
    parts = sorted(nbytes.items(), key=lambda part: -part[1])
    each = [f"{name} {_memory.human(size)}" for name, size in parts]
    about = "" if known else "about "
    advice = ["raise max_bytes"]
    if sizes:
        dim = max(sizes, key=lambda name: sizes[name])
        advice.insert(0, f"keep one in 10 labels of a dimension with every={{{dim!r}: 10}}")
    outputs = [name for name, _ in parts if name != "labels"]
    if len(outputs) > 1:
        smallest = min(outputs, key=lambda name: nbytes[name])
        advice.insert(0, f"save fewer outputs with outputs=[{smallest!r}]")
    each.append(f"the code of the page {_memory.human(code)}")
    raise ValueError(
        f"the page would have {about}{_memory.human(total)}, more than "
        f"max_bytes={_memory.human(most)}: {listing(each)}; "
        + ", ".join(advice[:-1])
        + (f", or {advice[-1]}" if len(advice) > 1 else advice[-1])
    )
