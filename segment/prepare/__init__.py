"""What is done to a frame before a network sees it.

Grey levels, field of view, scale and polarity, tiles, scale bar.
"""
