"""Datasets: readers, the phantom, parts, label draws, leak checks, import and cache."""
