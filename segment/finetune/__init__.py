"""`track train`: a model of one's own from labelled pictures, starting from a shipped one.

How shipped models are made stands in `training`.
"""
