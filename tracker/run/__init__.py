"""A run from its settings to its closed folder: the one loop, the job around it, resuming."""
