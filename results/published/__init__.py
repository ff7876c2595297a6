"""Numbers of publications, one row each, as CSV files."""
