"""What two results have in common, and how they differ."""
