"""From defects to tracks, measures, series and runs."""
