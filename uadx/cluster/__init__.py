"""One run on many machines: the input in shards, a worker for each device, results where all of them can write."""
