"""The tables of a run: columns, writing, reading, streaming, exchange with other programs; no physics."""
