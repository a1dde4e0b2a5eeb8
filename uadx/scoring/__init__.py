"""From level maps to a verdict: fusion, image score, calibration, regions. One code for every backend."""
