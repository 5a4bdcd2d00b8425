"""What is kept of a run's course beside its numbers: marks, and settings that changed while it went on."""

from __future__ import annotations

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
    "mark, pause or stop of a live run",
    (
        Column("t_s", "float", "s", "time of the newest frame", "%s"),
        Column("dose_dpa", "float", "dpa", "dose at that time; empty where not known", "%s"),
        Column("mark", "text", "", "what was marked or done", "%s"),
    ),
)
