"""The error family. A user's mistake is an `InsitrackError` and prints as one line; anything else is our bug.

.. code-block:: text

    InsitrackError            base; the command prints it on one line and exits with status 2
    ├── SourceError           the frames cannot be opened or decoded
    ├── SettingsError         a setting, option or calibration has an impossible value
    ├── ModelError            the segmentation model is missing, unreadable or of the wrong kind
    ├── OutputError           the results cannot be written where asked
    ├── TableError            a table lacks a column or holds a value that its specification forbids
    └── RunError              the run started and could not be finished; status 1
"""

import difflib
from collections.abc import Iterable


class InsitrackError(Exception):
    """Base of every error that the user can mend.

    Its text says what was wrong, what was expected, what to do.
    """

    exit_status = 2


class SourceError(InsitrackError):
    """The frames cannot be opened or decoded."""


class SettingsError(InsitrackError):
    """A setting, option or calibration has an impossible value."""


class ModelError(InsitrackError):
    """The segmentation model is missing, unreadable or of the wrong kind."""


class OutputError(InsitrackError):
    """The results cannot be written where asked."""


class TableError(InsitrackError):
    """A table lacks a column or holds a value that its specification forbids."""


class RunError(InsitrackError):
    """The run started and could not be finished; what was done is on disk."""

    exit_status = 1


def nearest(word: str, known: Iterable[object]) -> str:
    """Return the known word that is most like one, or an empty text.

    Examples
    --------
    >>> nearest("serie", ["series", "synth"]), nearest("quux", ["series", "synth"])
    ('series', '')
    """
    found = difflib.get_close_matches(word, [str(one) for one in known], 1)
    return found[0] if found else ""
