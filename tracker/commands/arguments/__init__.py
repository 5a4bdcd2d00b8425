"""What commands have in common: options, how they are read, and progress on stderr."""
