"""From a mask to position, size and shape, by the definition of each class."""
