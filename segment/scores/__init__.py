"""Detections held against labels: matching, F1, average precision, pixels, lines, splits; no physics."""
