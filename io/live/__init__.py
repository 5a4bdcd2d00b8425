"""Frames as they are taken: cameras, network streams, watched folders.

Their waiting room and the page that shows them; no files.
"""
