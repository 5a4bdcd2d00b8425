"""From a frame to its defects: networks, what comes before and after them, training and evaluation."""
