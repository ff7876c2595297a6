"""The built-in methods, one file each: MultiMix, its baselines, and the trivial baselines."""
