"""The version of this package, from its installed metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("gridax")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"
