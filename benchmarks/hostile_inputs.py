"""Hostile inputs of every kind, each with the command that is given them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from pathlib import Path

import fuzz_record
import numpy as np

from insitrack.io.tables.run_folder import STATE

movie_bombs = import_module("insitrack.tests.io.files.test_bombs")
label_bombs = import_module("insitrack.tests.segment.labels.test_hostile")

WHAT = "20 different inputs, or the forms that there are in turns with other names, sizes and places"
Commands = Iterator[list[str]]
_READ_LABELS = (["train", "--epochs", "1"], ["eval", "--model", "loops"])
"""Both read labels; the second also those of a single image."""


class _Code:
    """What a pickle runs when it is read."""

    def __init__(self, harm: Path) -> None:
        self.harm = harm

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.harm}",)


def pickles(harm: Path) -> list[bytes]:
    """Pickles of every protocol that run something, alone and inside arrays."""
    alone = [pickle.dumps(_Code(harm), protocol) for protocol in range(6)]
    return alone


def run_folders(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Run folders whose state is code or a bomb, whose tables and manifest lead elsewhere, or that are links."""
    sound = fuzz_record.sound_state(place / "sound").parent
    outside = place / "outside.csv"
    outside.write_text("1,2,3\n" * 100)
    forms = (
        _pickled_state,
        _objects_in_state,
        _deep_manifest,
        _source_elsewhere,
        _linked_tables,
        _huge_masks,
    )
    for number in range(tries):
        folder = place / f"run{number}"
        shutil.copytree(sound, folder)
        forms[number % len(forms)](folder, number, harm, outside, address)
        yield [("resume", "series", "annotate", "export")[number % 4], str(folder)][:2]


def _pickled_state(folder: Path, number: int, harm: Path, outside: Path, address: str) -> None:
    (folder / STATE).write_bytes(pickles(harm)[number % 6])


def _objects_in_state(folder: Path, number: int, harm: Path, outside: Path, address: str) -> None:
    with zipfile.ZipFile(folder / STATE, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("tree.npy", "w") as stream:
            np.save(stream, np.array([_Code(harm)], object), allow_pickle=True)
        if number % 2:
            with file.open("bomb.npy", "w") as stream:
                np.save(stream, np.zeros(1 << 26, np.uint8))


def _deep_manifest(folder: Path, number: int, harm: Path, outside: Path, address: str) -> None:
    (folder / "run.json").write_text(("[" if number % 2 else '{"a":') * 100_000)


def _source_elsewhere(folder: Path, number: int, harm: Path, outside: Path, address: str) -> None:
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    facts["source"]["uri"] = facts["source"]["path"] = (f"http://{address}/x.mp4", "/etc/passwd")[number % 2]
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")


def _linked_tables(folder: Path, number: int, harm: Path, outside: Path, address: str) -> None:
    for name in ("frames.csv", "tracks.csv", "run.json.part", "series.csv.part", "report.html"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(outside)


def _huge_masks(folder: Path, number: int, harm: Path, outside: Path, address: str) -> None:
    (folder / "masks.parquet").write_bytes(b"PAR1" + bytes(1000) + b"\xff\xff\xff\x7fPAR1")


def checkpoints(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Checkpoints for `track train --base` that are code, in pickle, in the architecture, or claim gigabytes."""
    import torch

    from insitrack.segment.training import export, yolo

    spoilt = import_module("insitrack.tests.segment.training.test_harmless")

    network = yolo.Bf16SegmentationModel(str(yolo.SLIM_NETWORK), nc=2, ch=3, verbose=False)
    good = export.checkpoint_of(network)
    labels = sound_labels(place / "labels")
    spoils = [value for name, value in sorted(vars(spoilt).items()) if name.startswith("spoil_")]
    code = f"__import__('pathlib').Path({str(harm)!r}).touch() or torch.nn.SiLU()"
    for number in range(tries):
        path = place / f"{number}.pt"
        stored = {
            "form": spoilt.FORM,
            "architecture": json.loads(json.dumps(good.architecture)),
            "classes": ["loop", "void"],
            "state": dict(good.state),
        }
        kind = number % 4
        if kind == 0:
            path.write_bytes(pickles(harm)[number // 4 % 6])
        elif kind == 1:
            torch.save({"model": _Code(harm)}, path)
        elif kind == 2:
            stored["architecture"]["activation"] = code
            torch.save(stored, path)
        else:
            spoils[number // 4 % len(spoils)](stored)
            torch.save(stored, path)
        yield ["train", str(labels), "--base", str(path), "--epochs", "1"]


def sound_labels(folder: Path) -> Path:
    """Two images with a label each: enough to train on one and to judge by the other."""
    for name in ("a", "b"):
        label_bombs.picture(folder, f"{name}.png")
        (folder / f"{name}.json").write_text(label_bombs.labelme([[5, 5], [20, 5], [20, 20]]))
    return folder


def playlists(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Playlists under the names of movies that ask for other files, or for somebody on the network."""
    secret = place / "secret.txt"
    secret.write_text("secret\n" * 50)
    texts = (
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation id="1">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{}\nm=video 5004 RTP/AVP 96\n",
    )
    targets = (
        f"http://{address}/a.ts",
        str(secret),
        f"concat:{secret}|{secret}",
        f"tcp://{address}",
        f"file:{secret}",
    )
    names = (".mp4", ".m3u8", ".avi", ".mkv", ".ffconcat")
    for number, (text, target) in enumerate(list(product(texts, targets))[:tries]):
        path = place / f"{number}{names[number % len(names)]}"
        path.write_text(text.format(target))
        yield [str(path)]


def movies(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Small files that promise millions of frames, or frames of gigabytes."""
    for number in range(tries):
        folder = place / f"{number}"
        folder.mkdir()
        yield [str(movie_bombs.BOMBS[number % len(movie_bombs.BOMBS)](folder))]


def labels(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Labels with run lengths of gigabytes, nesting, aliases, and rows without end."""
    forms = list(label_bombs.BOMBS.values())
    for number in range(tries):
        file, text, _ = forms[number % len(forms)]
        folder = place / f"{number}"
        label_bombs.picture(folder, shape=(60 + number, 90 + number))
        (folder / file).write_text(text, encoding="utf-8")
        classes = ["--classes", "0=loop"] if file == "a.txt" and number % 2 else []
        yield [*_READ_LABELS[number // len(forms) % 2], str(folder), *classes]


def masks(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Masks and arrays that claim 40 GB, or hold objects."""
    for number in range(tries):
        folder = place / f"{number}"
        label_bombs.picture(folder)
        (folder / "masks").mkdir()
        path = folder / "masks" / "a.npy"
        if number % 2:
            np.save(path, np.array([_Code(harm)], object), allow_pickle=True)
        else:
            with path.open("wb") as file:
                head = {
                    "descr": ("<i8", "|u1")[number // 2 % 2],
                    "fortran_order": False,
                    "shape": (100_000, 50_000 + number),
                }
                np.lib.format.write_array_header_1_0(file, head)
        yield [*_READ_LABELS[number // 2 % 2], str(folder), "--classes", "defect=loop"]


def tables(place: Path, harm: Path, address: str, tries: int) -> Commands:
    """Tables of a million columns, cells of megabytes, formulas, and nesting, for `track link` and `track series`."""
    wide = ",".join(f"c{i}" for i in range(10**6))
    texts = (
        wide + "\n" + ",".join("1" for _ in range(10**6)) + "\n",
        'frame,x_px,y_px,size_px\n0,"' + "9" * 5_000_000 + '",1,1\n',
        "frame,x_px,y_px,size_px\n" + "0,1,1,1\n" * 10 + '0,1,"' * 100_000,
        "frame,x_px,y_px,size_px\n99999999999999999999,1,1,1\n",
        "frame,x_px,y_px,size_px\n0,1e308,1e308,1e308\n2000000000,1,1,1\n",
        'frame,x_px,y_px,size_px,defect_class\n0,1,1,5,=HYPERLINK("http://' + address + '")\n',
    )
    for number in range(tries):
        path = place / f"{number}.csv"
        path.write_text(texts[number % len(texts)])
        yield [("link", "series")[number // len(texts) % 2], str(path), "--nm-per-px", "0.5"]


def honest(kind: str, place: Path) -> list[list[str]]:
    """Return harmless commands of the same kind: what their libraries need and leave behind."""
    if kind == "run folders":
        copies = [place / f"honest{number}" for number in range(3)]
        for copy in copies:
            shutil.copytree(place / "sound", copy)
        made = str(place / "honest")
        return [
            ["resume", str(copies[0])],
            ["series", str(copies[0]), "--out", f"{made}_series"],
            ["annotate", str(copies[0]), "--out", f"{made}.mp4"],
            ["export", str(copies[0]), "--to", "coco", "--out", f"{made}.json"],
        ]
    nowhere = str(place / "nowhere")
    if kind == "checkpoints":  # what loads the library that opens checkpoints
        return [["train", str(sound_labels(place / "honest")), "--base", f"{place}/nobody.pt"]]
    if kind in ("labels", "arrays and masks"):
        return [["eval", str(sound_labels(place / "honest")), "--model", "loops"]]
    if kind == "tables":
        return [["link", f"{nowhere}.csv"]]
    return [["synth:loops?frames=3&size=64&seed=1", "--no-video", "--out", str(place / "honest")]]


KINDS: dict[str, Callable[[Path, Path, str, int], Commands]] = {
    "run folders": run_folders,
    "checkpoints": checkpoints,
    "playlists": playlists,
    "movies and stacks": movies,
    "labels": labels,
    "arrays and masks": masks,
    "tables": tables,
}
