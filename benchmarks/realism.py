"""How far synthetic images are from real ones, in numbers.

Power spectra, grey levels, noise, and the contrast and size of defects.

    python benchmarks/realism.py [--pictures 24]

writes benchmarks/realism.json and benchmarks/realism.md, docs/realism.png (plots of the numbers) and
docs/synthetic.jpg (synthetic images). Real images are read from ``../shared/data`` beside the repository;
sets that are absent are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import record
from numpy.typing import NDArray

from insitrack.io.arrays import Bytes, Floats32
from insitrack.io.detections import Detections
from insitrack.io.synth.source import SynthSource
from insitrack.segment.labels.reader import read_labelled
from insitrack.segment.prepare.grey import stretch_to_8_bit

DOCS = Path(__file__).resolve().parents[1] / "docs"
REAL = record.DATA
SMALL = {"SIDE": 128, "REAL": Path("none")}
SIDE = 512  # spectra are taken from the middle of an image
EDGES = 2.0 ** -np.arange(8, 0.5, -0.5)  # spatial frequencies, cycles per px
MOST_DEFECTS = 40  # of one image: a crowded one must not speak for all
PAIRS = {
    "fecral-loops-111": "loops",
    "creme-316L": "diffuse",
    "ti-anneal": "diffuse",
}  # which kind of scene is meant to look like which set

Masks = list[NDArray[np.bool_]]


@dataclass
class Numbers:
    """What is measured in the images of one set."""

    spectra: list[Any] = field(default_factory=list)
    pictures: list[dict[str, float]] = field(default_factory=list)
    defects: list[tuple[float, float, float]] = field(
        default_factory=list
    )  # contrast, contrast-to-noise, size in px


def measure(numbers: Numbers, image: Bytes, masks: Masks) -> None:
    """Add one image; `masks` are its labelled defects."""
    grey = stretch_to_8_bit(image).astype(np.float32) / 255
    top, left = ((side - SIDE) // 2 if side > SIDE else 0 for side in grey.shape)
    numbers.spectra.append(spectrum(grey[top : top + SIDE, left : left + SIDE]))
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 3)
    band = cv2.GaussianBlur(grey, (0, 0), 3) - cv2.GaussianBlur(grey, (0, 0), 40)
    numbers.pictures.append(
        {
            **{f"grey_p{p}": float(np.percentile(grey, p)) for p in (5, 25, 50, 75, 95)},
            "below 3 px": float(fine.std()),
            "neighbours alike, along rows": float((fine[:, 1:] * fine[:, :-1]).mean() / fine.var()),
            "neighbours alike, along columns": float((fine[1:] * fine[:-1]).mean() / fine.var()),
            "3 to 40 px": float(band.std()),
        }
    )
    numbers.defects += contrasts(image.astype(np.float32), masks[:MOST_DEFECTS])


def spectrum(grey: Floats32) -> NDArray[np.float64]:
    """Mean power in rings of spatial frequency, log10; grey levels 0 to 1, Hann window."""
    window = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    k = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1]))
    ring = np.digitize(k.ravel(), EDGES)
    total = np.bincount(ring, power.ravel(), len(EDGES) + 1) / np.maximum(
        np.bincount(ring, minlength=len(EDGES) + 1), 1
    )
    return np.asarray(np.log10(total[1 : len(EDGES)] + 1e-9))


def contrasts(image: Floats32, masks: Masks) -> list[tuple[float, float, float]]:
    """Contrast of each defect against what lies around it.

    The same over the spread there after a blur of 2 px, and its diameter, px.
    """
    anything = np.any(masks, axis=0) if masks else np.zeros(image.shape, bool)
    smooth = cv2.GaussianBlur(image, (0, 0), 2)
    out = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        area = int(mask.sum())
        if area < 9:
            continue
        rim = round(0.8 * area**0.5) + 4
        part = np.s_[max(0, rows[0] - rim) : rows[-1] + rim, max(0, columns[0] - rim) : columns[-1] + rim]
        around = ~anything[part]
        if around.sum() > 20:
            level = float(np.median(image[part][around]))
            drop = level - float(image[mask].mean())
            out.append(
                (
                    drop / max(level, 1.0),
                    drop / (float(smooth[part][around].std()) + 1e-6),
                    (4 * area / np.pi) ** 0.5,
                )
            )
    return out


def fecral() -> Iterator[tuple[Bytes, Masks]]:
    """Every eleventh of the on-zone images of FeCrAl; the labels are boxes.

    The ellipse inside one is taken for the loop.
    """
    for path in sorted((REAL / "fecral-loops-111" / "images").iterdir())[::11]:
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        label = REAL / "fecral-loops-111" / "boxes" / f"{path.stem}.txt"
        masks = []
        for y0, x0, y1, x1 in (
            np.loadtxt(label, ndmin=2)[:, :4] if label.is_file() and label.stat().st_size else ()
        ):
            mask = np.zeros(image.shape, np.uint8)
            cv2.ellipse(
                mask, (((x0 + x1) / 2, (y0 + y1) / 2), (max(x1 - x0, 1), max(y1 - y0, 1)), 0.0), 1, -1
            )
            masks.append(mask > 0)
        yield image, masks


def outlined(folder: str, labels: str, classes: dict[str, str]) -> Iterator[tuple[Bytes, Masks]]:
    """Images with outlines drawn by people."""
    for picture in read_labelled(REAL / folder / labels, classes):
        yield np.asarray(picture.image, np.uint8), list(picture.truth.masks.dense(picture.truth.shape))


def titanium() -> Iterator[tuple[Bytes, Masks]]:
    """Labelled frames of irradiated Ti, their middle."""
    for image, masks in outlined("ti-anneal", "annotation_new", {"0": "loop"}):
        middle = np.s_[
            image.shape[0] // 4 : 3 * image.shape[0] // 4, image.shape[1] // 4 : 3 * image.shape[1] // 4
        ]
        yield np.ascontiguousarray(image[middle]), [mask[middle] for mask in masks if mask[middle].sum() > 9]


SETS: dict[str, Callable[[], Iterator[tuple[Bytes, Masks]]]] = {
    "fecral-loops-111": fecral,
    "creme-316L": lambda: outlined("creme-316L", "clean.json", {"hcloop": "loop"}),
    "ti-anneal": titanium,
}


def synthetic(kind: str, count: int, classes: tuple[str, ...] = ()) -> Iterator[tuple[Bytes, Masks]]:
    """Images of one kind of scene, dark on bright as the real sets are, without text."""
    for seed in range(70_000, 70_000 + count):
        movie = SynthSource(
            f"synth:{kind}?seed={seed}&size={SIDE}&frames=40&fps=4&overlay=0&polarity=dark&start=0.5"
        )
        truth: Detections = movie.truth(35)
        kept = np.array([not classes or name in classes for name in truth.names()], bool)
        yield np.asarray(movie.frame(35).image, np.uint8), list(truth.masks.dense(truth.shape)[kept])


def measured(most: int) -> dict[str, Numbers]:
    """Every set that is there, and the kinds of scene that are meant to look like them."""
    out: dict[str, Numbers] = {}
    for name, read in SETS.items():
        if (REAL / name).is_dir():
            out[f"real {name}"] = numbers = Numbers()
            for image, masks in islice(read(), most):
                measure(numbers, image, masks)
    for kind, classes in (("loops", ("loop_111",)), ("two_beam", ()), ("diffuse", ()), ("dense", ())):
        out[f"synth:{kind}"] = numbers = Numbers()
        for image, masks in synthetic(kind, most, classes):
            measure(numbers, image, masks)
    return out


def slope(spectra: Any) -> float:
    """Exponent of the mean spectrum between 1/64 and 1/8 cycles per px."""
    k = np.sqrt(EDGES[:-1] * EDGES[1:])
    use = (k > 1 / 64) & (k < 1 / 8)
    return float(np.polyfit(np.log10(k[use]), np.mean(spectra, axis=0)[use], 1)[0])


def facts(numbers: Numbers) -> dict[str, Any]:
    """Sum one set up in a row."""
    k = np.sqrt(EDGES[:-1] * EDGES[1:])
    mean = np.mean(numbers.spectra, axis=0)
    out: dict[str, Any] = {
        "pictures": len(numbers.pictures),
        "spectrum slope": round(slope(numbers.spectra), 2),
    }
    out |= {
        f"log power at 1/{n}": round(float(np.interp(np.log(1 / n), np.log(k), mean)), 2)
        for n in (128, 32, 8, 3)
    }
    for key in numbers.pictures[0]:
        out[key] = round(float(np.median([row[key] for row in numbers.pictures])), 3)
    defects = np.array(numbers.defects).reshape(-1, 3)
    out["defects"] = len(defects)
    for i, name in enumerate(("contrast", "contrast to noise", "size_px")):
        out[name] = [round(float(v), 2) for v in np.percentile(defects[:, i], (10, 50, 90))]
    return out


def page(rows: dict[str, dict[str, Any]], command: str) -> str:
    """Put the numbers side by side."""
    lines = [
        "# Synthetic pictures beside real ones",
        "",
        f"`{command}`. Medians over pictures; of the defects the 10th, 50th and 90th percentile.",
    ]
    lines += [
        "Grey levels are those that the network sees: stretched to the 0.5th and 99.5th percentile, 0 to 1."
        " Spectra: log10 of the power."
    ]
    lines += [
        (
            "Of `fecral-loops-111` only a0/2<111> loops are labelled, so of `synth:loops` only those count."
            f" {_meant()}"
        ),
        "",
    ]
    lines += ["| | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for key in next(iter(rows.values())):
        cells = [
            ", ".join(map(str, row[key])) if isinstance(row[key], list) else str(row[key])
            for row in rows.values()
        ]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _meant() -> str:
    return (
        "Meant to look alike: "
        + ", ".join(f"`{real}` and `synth:{kind}`" for real, kind in PAIRS.items())
        + "."
    )


def plot(found: dict[str, Numbers], folder: Path) -> None:
    """Draw spectra, contrasts and sizes of the real sets over the range of the synthetic ones."""
    colours = {"fecral-loops-111": "#D55E00", "creme-316L": "#0072B2", "ti-anneal": "#009E73"}
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    k = np.sqrt(EDGES[:-1] * EDGES[1:])
    every = np.concatenate([numbers.spectra for name, numbers in found.items() if name.startswith("synth")])
    axes[0, 0].fill_between(
        k, *np.percentile(every, (5, 95), axis=0), color="0.85", label="synthetic, 5 to 95 % of pictures"
    )
    for name, colour in colours.items():
        if f"real {name}" in found:
            axes[0, 0].plot(k, np.median(found[f"real {name}"].spectra, axis=0), color=colour, label=name)
    axes[0, 0].set(xscale="log", xlabel="spatial frequency (1/px)", ylabel="log10 power")
    axes[0, 0].legend(frameon=False)
    columns = (
        ("contrast", np.linspace(-0.1, 0.9, 26)),
        ("contrast to noise", np.linspace(-1, 9, 26)),
        ("diameter (px)", np.geomspace(5, 200, 26)),
    )
    for i, (axis, (label, edges)) in enumerate(zip(axes.ravel()[1:], columns, strict=True)):
        synthetic_values = np.concatenate(
            [np.array(n.defects)[:, i] for name, n in found.items() if name.startswith("synth")]
        )
        axis.hist(synthetic_values, edges, density=True, color="0.85", label="synthetic, four kinds")
        for name, colour in colours.items():
            if f"real {name}" in found:
                axis.hist(
                    np.array(found[f"real {name}"].defects)[:, i],
                    edges,
                    density=True,
                    histtype="step",
                    color=colour,
                    lw=1.6,
                )
        axis.set(
            xlabel=f"{label} of labelled defects", ylabel="density", xscale="log" if i == 2 else "linear"
        )
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "realism.png", dpi=80)


def draw_examples(folder: Path) -> None:
    """Draw twelve synthetic images as the network sees them."""
    kinds = (
        "loops",
        "loops",
        "loops",
        "two_beam",
        "loops",
        "diffuse",
        "diffuse",
        "two_beam",
        "dense",
        "mixed",
        "voids",
        "precipitates",
    )
    tiles = []
    for i, kind in enumerate(kinds):
        movie = SynthSource(f"synth:{kind}?seed={80_000 + i}&size=320&frames=40&fps=4&overlay=2")
        tiles.append(stretch_to_8_bit(movie.frame(35).image))
    rows = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)]
    cv2.imwrite(str(folder / "synthetic.jpg"), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    """Measure, write, draw."""
    parser = record.options(__doc__)
    parser.add_argument("--pictures", type=int, default=24, help="most pictures of a set")
    options = parser.parse_args()
    if options.smoke:
        globals().update(SMALL)
        options.pictures = 1
    found = measured(options.pictures)
    rows = {name: facts(numbers) for name, numbers in found.items()}
    command = f"python benchmarks/realism.py --pictures {options.pictures}"
    record.keep(__file__, {"command": command, "sets": rows}, page(rows, command), options.results)
    folder = options.results if options.smoke else DOCS
    plot(found, folder)
    draw_examples(folder)


if __name__ == "__main__":
    main()
