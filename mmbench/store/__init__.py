"""Records on disk: what a run leaves behind, and frames made of it."""
