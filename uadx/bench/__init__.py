"""How fast a model runs here: the engine alone, and files to results, by the clock and in core time."""
