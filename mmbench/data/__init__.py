"""Datasets: readers, the phantom, parts, labelled subsets, leak checks, import and cache."""
