"""Sound records of runs, the state and the settings in time, to be damaged by ``fuzz.py state`` and ``settings``."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz_tables import odd_cell

import insitrack
from insitrack.io.tables.records import SETTINGS
from insitrack.io.tables.run_folder import STATE
from insitrack.tracker.run.config import load_config
from insitrack.tracker.series.conditions import Change, write_changes

_ODD = ("", "nan", "inf", "-1", "5e-324", "1e400", "9" * 400, "x" * 3000, "=1+1", '"', "\n", "\0", "é", "1,5")


class _Cut(BaseException):
    """Ends a run as a kill does."""


def sound_state(folder: Path) -> Path:
    """Run for some frames, and stop as if killed; return the state that is left."""

    def cut(tally: object, _: object) -> None:
        if tally.frames == 6:  # type: ignore[attr-defined]
            raise _Cut

    config = load_config(assignments=["output.video=false", "specimen.thickness_nm=100"])
    with contextlib.suppress(_Cut):
        insitrack.track("synth:loops?seed=3&frames=9&size=128&n=30", folder, config=config, progress=cut)
    return folder / STATE


def sound_settings(path: Path) -> Path:
    """Write a table of settings that changed."""
    write_changes(
        path,
        [
            Change(0, 0.0, "thickness_nm", "100"),
            Change(0, 0.0, "material", "fecral"),
            Change(5, 0.5, "thickness_nm", "50", "page", "100"),
            Change(7, 0.7, "dose_rate_dpa_per_s", "0.001", "page"),
            Change(9, 0.9, "thickness_nm", "100", "undo", "50"),
            Change(9, 0.9, "material", "pure_iron", "page", "fecral"),
        ],
    )
    return path


def damaged_state(
    folder: Path,
    each: int,
    random: np.random.Generator,
    damaged: Callable[[bytes, np.random.Generator], bytes],
) -> tuple[list[Path], list[str]]:
    """Write so many damaged states, every other one with a single flipped bit."""
    sound = sound_state(folder / "run")
    (folder / "sound").mkdir()
    shutil.copy(sound, folder / "sound" / STATE)
    data, paths = sound.read_bytes(), []
    for i in range(each):
        (folder / f"{i:05d}").mkdir()
        paths.append(folder / f"{i:05d}" / STATE)
        paths[-1].write_bytes(damaged(data, random) if i % 2 else flipped(data, random))
    return paths, ["state"] * each


def flipped(data: bytes, random: np.random.Generator) -> bytes:
    """Flip one bit."""
    out, place = bytearray(data), int(random.integers(8 * len(data)))
    out[place // 8] ^= 1 << place % 8
    return bytes(out)


def damaged_settings(
    folder: Path,
    each: int,
    random: np.random.Generator,
    damaged: Callable[[bytes, np.random.Generator], bytes],
) -> tuple[list[Path], list[str]]:
    """Write so many damaged tables of settings, every other one with an odd cell."""
    (folder / "sound").mkdir()
    data, paths = sound_settings(folder / "sound" / SETTINGS.file).read_bytes(), []
    for i in range(each):
        (folder / f"{i:05d}").mkdir()
        paths.append(folder / f"{i:05d}" / SETTINGS.file)
        paths[-1].write_bytes(
            odd_cell(data.decode(), random, _ODD).encode() if i % 2 else damaged(data, random)
        )
    return paths, ["settings"] * each
