"""Digests: whether two values, functions or models are the same, in any process."""
