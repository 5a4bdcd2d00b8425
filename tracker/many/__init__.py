"""Many movies on many machines: batches, what comes of them together, the catalogue of runs, one movie on a cluster."""
