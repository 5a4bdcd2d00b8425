"""Seeded movies of drawn defects with their exact truth.

Scenes, appearance, background, camera faults; no real data.
"""
