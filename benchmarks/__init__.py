"""Benchmarks of speed and memory against named competitors; ``make bench`` prints one table."""
