"""Sobol' indices: what the parameters are, the arithmetic, and the Dataset of the indices."""
