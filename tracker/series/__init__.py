"""From the defects of a frame to density, size, hardening and their intervals against time and dose."""
