"""Colours of the defect classes: one class, one colour, in frames and plots alike."""

from __future__ import annotations

from collections.abc import Iterable

Colour = tuple[int, int, int]

CLASS_COLOURS: dict[str, Colour] = {
    "black_dot": (230, 159, 0),
    "loop_111": (86, 180, 233),
    "loop_100": (213, 94, 0),
    "dislocation": (0, 158, 115),
    "precipitate": (240, 228, 66),
    "void": (0, 114, 178),
    "loop": (204, 121, 167),
    "defect": (187, 187, 187),
}
"""Red, green and blue, 0..255: the palette of Okabe and Ito, which stays distinct under the common
colour-vision deficiencies; light grey where the class cannot be told."""

ALL_COLOUR: Colour = (60, 60, 60)
"""Colour of the class `all`."""


def class_colours(names: Iterable[str]) -> dict[str, Colour]:
    """Return the colour of every class.

    Known names keep theirs, new ones take what is left, in the order of `names`.

    Parameters
    ----------
    names : iterable of str
        Class names; `all` is dark grey.

    Returns
    -------
    dict of str to (red, green, blue)
        From the seventh new name on, colours repeat.

    References
    ----------
    Okabe, Ito, Color Universal Design (2008), jfly.uni-koeln.de/color.

    Examples
    --------
    >>> class_colours(["loop_111", "frank_loop"])
    {'loop_111': (86, 180, 233), 'frank_loop': (230, 159, 0)}
    """
    wanted = list(dict.fromkeys(names))
    colours = CLASS_COLOURS | {"all": ALL_COLOUR}
    free = [colour for name, colour in CLASS_COLOURS.items() if name not in wanted] or list(
        CLASS_COLOURS.values()
    )
    new = [name for name in wanted if name not in colours]
    colours |= {name: free[i % len(free)] for i, name in enumerate(new)}
    return {name: colours[name] for name in wanted}


def hex_colour(colour: Colour) -> str:
    """Return the colour as HTML writes it.

    Examples
    --------
    >>> hex_colour((230, 159, 0))
    '#e69f00'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)
