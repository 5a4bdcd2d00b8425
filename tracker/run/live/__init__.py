"""What may be done to a live run and what is watched in it: marks, settings, triggers, and whom they call."""
