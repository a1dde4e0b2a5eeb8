"""From a folder of good images to a calibrated model bundle."""
