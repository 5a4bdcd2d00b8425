"""A run of a drawn movie, linked from its own truth, and `track series` on it."""

import json

from insitrack.tracker.cli import main

OPTIONS = ("--thickness-nm", "100", "--material", "fecral", "--dose-rate", "1e-3")


def linked_run(folder):
    """Link a movie that the tool draws itself: exact detections, no network."""
    assert (
        main(
            [
                "synth",
                "loops",
                "--seed",
                "4",
                "--frames",
                "60",
                "--size",
                "384",
                "--out",
                str(folder / "made"),
            ]
        )
        == 0
    )
    truth = folder / "made" / "truth.csv"
    facts = json.loads((folder / "made" / "truth.json").read_text())
    scale = ["--nm-per-px", str(facts["nm_per_px"]), "--size", "384x384"]
    assert main(["link", str(truth), *scale, *OPTIONS, "--out", str(folder / "run_track")]) == 0
    return folder / "run_track"


def series(tmp_path, *arguments, name="out"):
    assert main(["series", *map(str, arguments), "--out", str(tmp_path / name)]) == 0
    return tmp_path / name
