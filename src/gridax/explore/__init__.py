"""A sweep to look around in: in a notebook, as a served page, or as one file for a browser."""

from gridax.explore._explorer import Explorer

Explorer.__module__ = "gridax.explore"
__all__ = ["Explorer"]
