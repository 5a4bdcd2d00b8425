"""Frames with the defects drawn on them.

Canvas, colours, annotated and registered movies; no tables, no pages.
"""
