"""Published numbers, and whether they can be right."""
