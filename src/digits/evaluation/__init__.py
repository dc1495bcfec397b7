"""How good predictions are: metrics with intervals, calibration, the expected score, the ranking of runs."""
