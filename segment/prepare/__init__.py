"""What is done to a frame before a network sees it: grey levels, field of view, scale and polarity, tiles, scale bar."""
