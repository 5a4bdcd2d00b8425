"""Labels and predictions in every usual form, read into detections; nothing here trains or scores."""
