"""`track export`: a run for another program."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = "Write the defects of a run for another program."
EPILOG = """\
trackmate  TrackMate (Fiji): spots with outlines, tracks, merges and splits; after corrections there:
           track edit RUN tracks.xml
coco       pycocotools and label tools: outlines as run lengths, one image per frame
imagej     ImageJ and Fiji: regions for the ROI Manager, each on its frame
labels     label images, the id of the track in every pixel: .ome.tif, or with --out NAME.ome.zarr OME-Zarr
mot        TrackEval and the MOT challenge: boxes
napari     CSV of a Tracks layer
geff       GEFF, the graph of tracks: napari-track-edit, motile, traccuracy
parquet    tracks.csv with types, for pandas, polars, R
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track export`."""
    parser.add_argument("run", metavar="RUN", help="output folder of a run")
    parser.add_argument(
        "--to",
        required=True,
        metavar="FORMAT",
        help="trackmate, coco, imagej, labels, mot, napari, geff or parquet",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="file to write (default: RUN_FORMAT with the usual ending)"
    )


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    from insitrack.io.exchange.formats import FORMATS, export_run

    source, known = Path(options.run), FORMATS.get(options.to)
    ending = "" if known is None else known.ending
    path = (
        Path(options.out)
        if options.out
        else source.with_name(f"{source.resolve().name}_{options.to}{ending}")
    )
    print(export_run(source, options.to, path))
    return 0
