"""Bounds that the command line, the configuration file and the Python API share; imported by `uadx --help`."""

LARGEST_BATCH = 1024
"""Images per inference: far above what makes any device faster. A slip of the pen would ask for memory that no machine
has."""

FEW_COMPARED = 32
"""Images, below which it is not known what int8 costs: `uadx export` doubts it, `uadx tune` and `--hpi` take it only
where it is asked for by name."""
