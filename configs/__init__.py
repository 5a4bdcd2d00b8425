"""Settings and material constants: data only."""
