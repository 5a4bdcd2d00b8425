"""Plugin of napari: a run folder opened as frames, outlines and tracks, and what was painted saved as edits."""
