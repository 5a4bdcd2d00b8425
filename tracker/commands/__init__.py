"""One file for each command: options in, library called, words out; no science."""
