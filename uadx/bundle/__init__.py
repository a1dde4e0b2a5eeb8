"""The model bundle: a directory, or one .zip of it, with everything that a verdict depends on. No pickle anywhere."""
