"""Blocks and tiles in plain integers."""
