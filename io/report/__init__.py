"""Pages, plots and figures from finished tables; nothing here computes a number that a table lacks."""
