"""What is kept of a run's course beside its numbers: marks, and settings that changed while it went on.

Tables that grow by a line now and then: whole lines only, and on disk before they count.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from insitrack.io.errors import TableError
from insitrack.io.tables.engine import Column, Table

SETTINGS = Table(
    "settings.csv",
    "value of a setting that can change during a run, from the frame on from which it held",
    (
        Column(
            "frame",
            "int",
            "",
            "first frame for which it holds; a later line goes before an earlier one from its frame on",
            "%d",
        ),
        Column("t_s", "float", "s", "time from which it holds, on the time axis of the frames", "%s"),
        Column("clock", "text", "", "date and time at which it was set, UTC", "%s"),
        Column(
            "what", "text", "", "thickness_nm, thickness_sd_nm, dose_rate_dpa_per_s, material or log", "%s"
        ),
        Column("from", "text", "", "value before; empty where there was none", "%s"),
        Column("to", "text", "", "value from then on; empty where it is not known", "%s"),
        Column(
            "by",
            "text",
            "",
            "command (the settings of the run), file (what the source says of itself), log, page, undo (of the"
            " page's last change), or resume (carried over when the run went on)",
            "%s",
        ),
    ),
)

MARKS = Table(
    "marks.csv",
    "mark, pause, stop or fired trigger of a live run",
    (
        Column("t_s", "float", "s", "time of the newest frame, or where the mark was moved", "%s"),
        Column("dose_dpa", "float", "dpa", "dose at that time; empty where not known", "%s"),
        Column("mark", "text", "", "what was marked or done, or the trigger with its value", "%s"),
        Column(
            "by",
            "text",
            "",
            "page (set by somebody, who may rename, move or delete it), run (a pause or a stop) or trigger",
            "%s",
        ),
    ),
)

EDITS = Table(
    "edits.csv",
    "correction by hand, in the order in which they are made",
    (
        Column("action", "text", "", "merge, split, delete, class, restore, add or outline", "%s"),
        Column(
            "track_id",
            "int",
            "",
            "the track; for restore the id in the causal tables; for add the track that it belongs to, empty for a new one",
            "%s",
        ),
        Column(
            "other_id",
            "int",
            "",
            "merge: the track that goes on as track_id; restore: the track to join",
            "%s",
        ),
        Column(
            "frame",
            "int",
            "",
            "split: first frame of the new track; else the first frame concerned, empty for all of the track",
            "%s",
        ),
        Column("last_frame", "int", "", "last frame concerned; empty for that one frame alone", "%s"),
        Column("defect_class", "text", "", "class, for class and add", "%s"),
        Column(
            "outline",
            "text",
            "",
            "for add and outline: `polygon x y x y ...`, corners in px, or `rle x0 y0 width height counts`, run"
            " lengths of COCO inside a box",
            "%s",
        ),
    ),
)
"""What `track edit` reads and `track review` writes."""

_MOST_BYTES = 64 << 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def append_rows(path: Path, table: Table, rows: Sequence[Mapping[str, str]]) -> None:
    """Append lines to a table, and wait until they are on disk.

    What a process that was killed left of a line is cut off first, so that no line is ever half one and half
    another.

    Parameters
    ----------
    path : Path
        The table; it is begun, with its header, where it is not there.
    table : Table
        Its columns.
    rows : sequence of mapping of str to str
        A text for every column of every line.

    Raises
    ------
    OSError
        If it cannot be written; the table is then as it was.
    """
    with path.open("r+b" if path.exists() else "w+b") as stream:
        whole = whole_lines(stream.read(_MOST_BYTES))
        if stream.read(1):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        stream.seek(len(whole))
        stream.truncate()
        try:
            stream.write(
                (("" if whole else table.header()) + lines_of(table, rows)).encode("utf-8", "replace")
            )
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(len(whole))
            raise


def whole_lines(data: bytes) -> bytes:
    r"""Return a table up to its last whole line.

    Examples
    --------
    >>> whole_lines(b"a,b\n1,2\n3,")
    b'a,b\n1,2\n'
    """
    return data[: data.rfind(b"\n") + 1]


def read_rows(path: Path, table: Table) -> list[dict[str, str]]:
    """Read the whole lines of a table as texts.

    Raises
    ------
    TableError
        If it cannot be read, has other columns, or a line has more or fewer cells than the header.
    """
    try:
        with path.open("rb") as stream:
            text = whole_lines(stream.read(_MOST_BYTES)).decode("utf-8")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"{path}: cannot be read ({reason}); restore the table") from error
    if not lines or lines[0] != list(table.names):
        raise TableError(f"{path}: line 1: expected the columns {', '.join(table.names)}")
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(table.names):
            raise TableError(
                f"{path}: line {number}: {len(cells)} cells; expected {len(table.names)}, {', '.join(table.names)}"
            )
    return [dict(zip(table.names, cells, strict=True)) for cells in lines[1:]]


def harmless(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula.

    Examples
    --------
    >>> harmless("=1+1"), harmless("beam on"), harmless("-1.5")
    ("'=1+1", 'beam on', '-1.5')
    """
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def lines_of(table: Table, rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows of texts as the lines of a table."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(
        [[cells[name] for name in table.names] for cells in rows]
    )
    return stream.getvalue()


def _number(name: str, unit: str, meaning: str) -> Column:
    return Column(name, "float", unit, meaning, "%.6g")


KINETICS = Table(
    "kinetics.csv",
    "quantity and class, and `all`",
    (
        Column("quantity", "text", "", "what was estimated; the unit is in the name", "%s"),
        Column("defect_class", "text", "", "class name, or `all`", "%s"),
        _number("value", "", "estimate, in the unit that the name states"),
        _number("lo", "", "lower end of the 95 % interval, or a bound where the value is empty"),
        _number("hi", "", "upper end of the 95 % interval, or a bound where the value is empty"),
        Column("n", "int", "", "deaths, tracks, births, looks or steps that it rests on", "%d"),
        Column("method", "text", "", "how, in short; more in docs/kinetics.md", "%s"),
        Column("why", "text", "", "why there is no value, where there is none", "%s", optional=True),
    ),
)

MSD = Table(
    "msd.csv",
    "lag and class, and `all`",
    (
        _number("lag_s", "s", "time between two observations of one track"),
        Column("defect_class", "text", "", "class name, or `all`", "%s"),
        _number("msd_nm2", "nm^2", "mean squared displacement on the specimen, as measured"),
        _number("msd_nm2_lo", "nm^2", "lower end of the 95 % interval, from the scatter between tracks"),
        _number("msd_nm2_hi", "nm^2", "upper end of it"),
        Column("n_tracks", "int", "", "tracks with such a pair", "%d"),
    ),
)
