"""Value objects without a registered renderer fall back to what Python and IPython do."""

from __future__ import annotations

from gridax._display import Displayed


class Plain(Displayed):
    pass


def test_a_value_without_a_renderer_has_the_default_text_and_no_html() -> None:
    value = Plain()
    assert repr(value) == object.__repr__(value)
    assert value._repr_html_() is None
