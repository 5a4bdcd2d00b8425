"""`track series`: runs recomputed from their tables, pooled over time, fitted, compared."""
