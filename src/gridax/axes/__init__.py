"""Axes: placeholders in a state that say which values a leaf takes."""

from gridax.axes._base import Axis, default_key
from gridax.axes._tabulate import is_random, tabulate
from gridax.axes.choice import ChoiceAxis
from gridax.axes.data import DataAxis, StoredAxis
from gridax.axes.draws import KeyAxis, NumPyroAxis
from gridax.axes.ranges import GridAxis, LogGridAxis, UniformAxis

__all__ = [
    "Axis",
    "ChoiceAxis",
    "DataAxis",
    "GridAxis",
    "KeyAxis",
    "LogGridAxis",
    "NumPyroAxis",
    "StoredAxis",
    "UniformAxis",
    "default_key",
    "is_random",
    "tabulate",
]
