"""Where the outputs of a run are kept."""
