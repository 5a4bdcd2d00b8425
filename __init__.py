"""Find, follow and measure crystal defects in in-situ electron-microscope movies."""

__version__ = "0.1.0"
