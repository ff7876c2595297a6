"""Intervals, paired tests, ranks and power, on scores alone."""
