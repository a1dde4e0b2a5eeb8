"""The names of what a run can write; apart from the writers, so that `--help` needs no OpenCV."""

FORMATS = ("jsonl", "csv", "parquet", "json", "overlay", "heatmap", "mask", "html")
DEFAULT_FORMATS = ("jsonl", "overlay")
