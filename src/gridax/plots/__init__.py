"""What is sampled and what came out, drawn with matplotlib."""
