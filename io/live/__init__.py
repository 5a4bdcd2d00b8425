"""Frames as they are taken: cameras, network streams, watched folders, their waiting room and the page that shows them; no files."""
