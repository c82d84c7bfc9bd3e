"""Axes: placeholders in a state that say which values a leaf takes."""

from gridax._axes.base import Axis, default_key, is_axis
from gridax._axes.carried import Carried
from gridax._axes.choice import ChoiceAxis
from gridax._axes.data import DataAxis, StoredAxis
from gridax._axes.draws import KeyAxis, NumPyroAxis
from gridax._axes.quadrature import QuadratureAxis
from gridax._axes.ranges import GridAxis, LogGridAxis, UniformAxis
from gridax._axes.tabulate import is_random, tabulate

__all__ = [
    "Axis",
    "Carried",
    "ChoiceAxis",
    "DataAxis",
    "GridAxis",
    "KeyAxis",
    "LogGridAxis",
    "NumPyroAxis",
    "QuadratureAxis",
    "StoredAxis",
    "UniformAxis",
    "default_key",
    "is_axis",
    "is_random",
    "tabulate",
]
