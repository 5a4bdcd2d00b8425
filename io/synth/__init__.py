"""Seeded movies of drawn defects with their exact truth: scenes, appearance, background, camera faults; no real data."""
