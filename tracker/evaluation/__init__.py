"""`track eval`: found against true for defects, sizes, densities, hardening and tracks."""
