"""What a run leaves behind: results.jsonl, results.csv and pictures that mirror the input's directories."""
