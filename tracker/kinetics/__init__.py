"""Lifetimes, growth, rates and diffusion with their intervals, and the histories of tracks that they come from."""
