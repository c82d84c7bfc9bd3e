"""Imports generated models and prints their digests; also run as a process of its own."""

from __future__ import annotations

import importlib
import sys

from gridax._digest.digest import examine


def imported(folder):
    """Return the function ``model`` of a folder, as if this were the first import of all."""
    for name in [name for name in sys.modules if name == "model" or name.startswith("part")]:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(imported.last):
            del sys.modules[name]
    if imported.last in sys.path:
        sys.path.remove(imported.last)
    imported.last = str(folder)
    sys.path.insert(0, imported.last)
    importlib.invalidate_caches()
    return importlib.import_module("model").model


imported.last = ""


def examined(folder):
    """Return what is found out about the model of a folder."""
    return examine({"model": imported(folder)})


def main():
    for line in sys.stdin:
        sys.stdout.write(examined(line.rstrip("\n")).digest + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
