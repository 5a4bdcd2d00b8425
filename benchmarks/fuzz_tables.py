"""Sound tables of detections and tracks, CSV and Parquet, to be damaged by ``fuzz.py tables``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

_ODD = (
    "",
    "nan",
    "inf",
    "-1",
    "1e300",
    "2000000000",
    "9" * 400,
    "x" * 3000,
    "=1+1",
    '"',
    ";",
    "\n",
    "\0",
    "é",
    "1,5",
)


def _tracks() -> pd.DataFrame:
    random = np.random.default_rng(0)
    n, frames = 12, 10
    table = pd.DataFrame(
        {"frame": np.repeat(np.arange(frames), n), "track_id": np.tile(np.arange(n), frames)}
    )
    table = table.assign(
        t_s=table["frame"] * 0.5, defect_class="loop_111", x_px=random.uniform(0, 200, len(table))
    )
    return table.assign(y_px=random.uniform(0, 200, len(table)), size_nm=random.uniform(2, 9, len(table)))


def _forms(folder: Path) -> dict[str, Path]:
    """Sound tables, one of each form."""
    tracks = _tracks()
    found = tracks[["frame", "x_px", "y_px", "t_s"]].assign(size_px=tracks["size_nm"] * 2)
    spots = pd.DataFrame(
        {"POSITION_X": found["x_px"], "POSITION_Y": found["y_px"], "POSITION_T": found["t_s"]}
    )
    spots = spots.assign(FRAME=found["frame"], RADIUS=found["size_px"] / 2)
    told = pd.DataFrame([dict.fromkeys(spots.columns, word) for word in ("Spot", "X", "(pixel)")])
    told["POSITION_T"] = ["T", "T", "(sec)"]
    found.to_csv(folder / "link.csv", index=False)
    found.to_csv(folder / "link_comma.csv", index=False, sep=";", decimal=",")
    found.to_parquet(folder / "link.parquet")
    pd.concat([told, spots.astype(object)]).to_csv(folder / "link_spots.csv", index=False)
    tracks.to_csv(folder / "series.csv", index=False)
    tracks.to_csv(folder / "series_comma.csv", index=False, sep=";", decimal=",")
    tracks.to_parquet(folder / "series.parquet")
    tracks.to_parquet(folder / "series_plain.parquet", compression="none", use_dictionary=False)
    return {path.name: path for path in sorted(folder.iterdir())}


def odd_cell(text: str, random: np.random.Generator, odd: Sequence[object]) -> str:
    """Put an odd value into some cell of a table."""
    lines = text.split("\n")
    mark = ";" if ";" in lines[0] else ","
    at = int(random.integers(len(lines)))
    cells = lines[at].split(mark)
    cells[int(random.integers(len(cells)))] = str(random.choice(np.asarray(odd)))
    lines[at] = mark.join(cells)
    return "\n".join(lines)


def _odd_cells(text: str, random: np.random.Generator) -> str:
    for _ in range(int(random.integers(1, 4))):
        text = odd_cell(text, random, _ODD)
    return text


def damaged_tables(
    folder: Path,
    each: int,
    random: np.random.Generator,
    damaged: Callable[[bytes, np.random.Generator], bytes],
) -> tuple[list[Path], list[str]]:
    """Write so many damaged tables of each form; return their paths, and the form of each."""
    (folder / "sound").mkdir()
    paths, forms = [], []
    for form, sound in _forms(folder / "sound").items():
        data = sound.read_bytes()
        for i in range(each):
            where = folder / f"{i:05d}"
            where.mkdir(exist_ok=True)
            text = sound.suffix == ".csv" and i % 2
            (where / form).write_bytes(
                _odd_cells(data.decode(), random).encode() if text else damaged(data, random)
            )
            paths.append(where / form)
            forms.append(form)
    return paths, forms
