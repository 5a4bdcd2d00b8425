"""Frames with the defects drawn on them: canvas, colours, annotated and registered movies.

No tables, no pages, no plots; what is drawn was found elsewhere.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.draw.annotate import AnnotationStyle as AnnotationStyle
    from insitrack.io.draw.annotate import Annotator as Annotator
    from insitrack.io.draw.annotate import draw as draw
    from insitrack.io.draw.movie_writer import MovieWriter as MovieWriter
    from insitrack.io.draw.movie_writer import count_pictures as count_pictures
    from insitrack.io.draw.movie_writer import join_movies as join_movies
    from insitrack.io.draw.palette import class_colours as class_colours
    from insitrack.io.draw.palette import hex_colour as hex_colour
    from insitrack.io.draw.registered import RegisteredMovieSink as RegisteredMovieSink
    from insitrack.io.draw.sinks import AnnotatedMovieSink as AnnotatedMovieSink
    from insitrack.io.draw.sinks import PictureSink as PictureSink

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "annotate": ["AnnotationStyle", "Annotator", "draw"],
        "movie_writer": ["MovieWriter", "count_pictures", "join_movies"],
        "palette": ["class_colours", "hex_colour"],
        "registered": ["RegisteredMovieSink"],
        "sinks": ["AnnotatedMovieSink", "PictureSink"],
    },
)
