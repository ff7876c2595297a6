"""Launching: which cells to run, in which order, in which processes and on which devices."""
