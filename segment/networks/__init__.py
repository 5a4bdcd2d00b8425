"""Networks run on a frame and their raw output made detections.

What happens to the frame before is in `prepare`.
"""
