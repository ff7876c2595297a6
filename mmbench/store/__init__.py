"""Records on disk: what a cell leaves behind, and frames made of it."""
