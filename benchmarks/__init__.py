"""Programs that measure speed, error rates of the statistics, convergence and the phantom's calibration."""
