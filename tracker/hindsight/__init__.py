"""Refinement from tables to tables, when all frames are known: cutting, joining, filling, smoothing."""
