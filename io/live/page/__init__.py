"""The page of a live run: what a browser may ask for, the server that answers, and how many it accepts."""
