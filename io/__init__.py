"""Frames in, results out: the nouns that flow, where frames come from and where results go."""
