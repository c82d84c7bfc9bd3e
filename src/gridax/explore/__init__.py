"""An interactive view of a result: in a notebook, as a served page, or as one HTML file."""

from gridax.explore._explorer import Explorer

Explorer.__module__ = "gridax.explore"
__all__ = ["Explorer"]
