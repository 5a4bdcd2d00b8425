"""Lifetimes, growth, rates and diffusion with their intervals.

And the histories of tracks that they come from.
"""
