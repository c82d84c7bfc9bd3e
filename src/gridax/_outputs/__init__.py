"""What a model returns: names, dimensions, coordinates."""
