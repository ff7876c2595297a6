"""From frames of scores to frozen records: estimates, comparisons, verdicts, ranks, curves."""
