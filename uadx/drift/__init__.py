"""Are the scores of production still those that the threshold was calibrated on?"""
