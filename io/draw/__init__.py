"""Frames with the defects drawn on them: canvas, colours, annotated and registered movies; no tables, no pages."""
