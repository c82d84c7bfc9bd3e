"""Names of parametrized tests that are the same in every process."""

from __future__ import annotations

import re
from typing import Any


def plain(value: Any) -> str:
    """Return the text of a parameter without places in memory, which differ between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
