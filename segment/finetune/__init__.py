"""`track train`: a model of one's own from labelled pictures, starting from a shipped one; how shipped models are made stands in `training`."""
