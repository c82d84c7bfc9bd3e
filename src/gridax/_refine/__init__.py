"""Where to place new points, given the outputs at those that there are."""
