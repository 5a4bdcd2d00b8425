"""Frames from files: movies, folders of images, TIFF stacks, files of microscopes; a camera stands in `live`."""
