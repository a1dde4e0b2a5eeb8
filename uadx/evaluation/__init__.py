"""How good a model is on labelled images: figures of scores and of anomaly maps, with intervals, and a page."""
