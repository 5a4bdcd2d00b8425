"""Laws of hardening, their superposition, materials with sources; knows nothing of tracks or files."""
