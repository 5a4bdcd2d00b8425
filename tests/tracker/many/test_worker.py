"""What a worker does with a movie: cut off it leaves a state, and the next worker goes on from it to the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

import insitrack
from insitrack.io.tables.columns import TABLES
from insitrack.io.tables.run_folder import STATE
from insitrack.io.write import plain_facts
from insitrack.tracker.many import worker
from insitrack.tracker.many.worker import run_movie, stop_batch
from insitrack.tracker.run.config import load_config

MOVIE = "synth:loops?seed=6&frames=12&size=96"


def order(folder: Path, batch: str, **more: object) -> dict[str, Any]:
    settings = plain_facts(load_config(assignments=["output.video=false"]).plain())
    facts = {"batch": batch, "name": "m", "uri": MOVIE, "folder": str(folder), "settings": settings}
    return {**facts, "command": ["track"], "fresh": False, "threads": 1, **more}


def test_a_movie_that_was_cut_off_goes_on_from_its_state_to_the_tables_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    def hear(facts: dict[str, Any]) -> None:
        told.append(facts)
        if facts["frames"] == 5:
            stop_batch("first")

    monkeypatch.setattr(worker, "_TELL_EVERY_S", 0.0)
    monkeypatch.setattr(worker, "_sender", lambda: hear)
    folder = tmp_path / "m"
    assert run_movie(order(folder, "first"))["status"] == "stopped"
    assert [facts["frames"] for facts in told] == [1, 2, 3, 4, 5]
    assert (folder / STATE).is_file()
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (manifest["status"], manifest["reason"]) == (
        "stopped",
        "the batch was stopped; the same command goes on",
    )
    assert run_movie(order(folder, "second"))["status"] == "done"
    alone = insitrack.track(MOVIE, tmp_path / "alone", video=False).folder
    for name in (*TABLES, "kinetics.csv", "masks.parquet"):
        assert (folder / name).read_bytes() == (alone / name).read_bytes(), name


def test_a_movie_that_cannot_be_read_has_failed_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no movie" * 99)
    result = run_movie(order(tmp_path / "m", "b", uri=str(tmp_path / "a.mp4")))
    assert result["status"] == "failed"
    assert "a.mp4" in result["why"]
    assert "traceback" not in result


def test_a_fault_of_the_tool_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "track", lambda *_, **__: 1 / 0)
    result = run_movie(order(tmp_path / "m", "b"))
    assert result["why"].startswith("ZeroDivisionError")
    assert "1 / 0" in result["traceback"]


def test_a_run_without_a_processed_frame_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        manifest = {"results": {"processed": 0, "frames": 9, "damaged": 9, "frames_per_s": 0.0}}  # noqa: RUF012

    monkeypatch.setattr(worker, "track", lambda *_, **__: Empty())
    result = run_movie(order(tmp_path / "m", "b"))
    assert (result["status"], result["why"]) == ("failed", "no frame was processed: 9 damaged")
