"""One run of a model over a space: what is computed, compared, kept and assembled."""
