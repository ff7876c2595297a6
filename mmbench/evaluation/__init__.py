"""Evaluation: predictions of a trained method, one score per case, and what every metric means."""
