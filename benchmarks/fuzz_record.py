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

_WORKER = """
import sys, time, resource
from pathlib import Path
from insitrack.io.errors import InsitrackError
{imports}
for path in sys.stdin.read().split('\\n'):
    if not path: continue
    start = time.perf_counter()
    try:
        said = look(Path(path))
    except InsitrackError as error:
        said = 'refused' if '\\n' not in str(error) and len(str(error)) < 2000 else 'more than one line'
    except MemoryError:
        said = 'memory'
    except Exception as error:
        said = f'traceback {{type(error).__name__}}: {{str(error)[:80]}}'.replace('\\n', ' ')
    print(path, said, round(time.perf_counter() - start, 2), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sep='\\t', flush=True)
"""
STATE_WORKER = _WORKER.format(
    imports="""
from insitrack.tracker.run.state import read_state
def look(path):
    read_state(path.parent)
    sound = path.parents[1] / 'sound' / path.name
    return 'read' if path.read_bytes() == sound.read_bytes() else 'wrong: damaged, and not noticed'
"""
)
SETTINGS_WORKER = _WORKER.format(
    imports="""
import math
import numpy as np
from insitrack.io.frames import Calibration
from insitrack.tracker.run.config import load_config
from insitrack.tracker.run.meters import meter_for
from insitrack.tracker.series.conditions import SEVERAL, read_conditions
def look(path):
    held = read_conditions(path)
    meter = meter_for(load_config(), Calibration(nm_per_px=0.5), ('void',))
    meter.follow(held)
    foils = [held.foil(frame) for frame in (0, 7, 20, 10**6, SEVERAL)]
    dose = meter.exposure.dose_dpa(np.linspace(0, 10, 50))
    known = dose[np.isfinite(dose)]
    sound = all(foil.thickness_nm is None or 0 < foil.thickness_nm < math.inf for foil in foils)
    sound &= bool((np.diff(known) >= -1e-9 * np.abs(known).max(initial=0)).all()) and bool((known >= 0).all())
    return 'read' if sound else 'wrong: what cannot be'
"""
)
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
