"""Plots of spaces and results, with matplotlib."""
