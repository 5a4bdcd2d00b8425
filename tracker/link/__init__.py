"""From detections to tracks, frame by frame, and the drift of the specimen; knows only the past."""
