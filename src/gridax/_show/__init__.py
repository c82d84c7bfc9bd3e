"""How spaces, plans and results are displayed: text, HTML and plots."""

# Importing these modules registers how plans and progress counts are displayed; see `_display`.
from gridax._show import plan, progress

__all__ = ["plan", "progress"]
