"""One run from its opening, before anything is written, through its frames to its closing."""
