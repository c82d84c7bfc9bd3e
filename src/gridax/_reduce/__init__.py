"""Reductions along dimensions, while a sweep runs."""
