"""`track doctor`: what is installed, which processor and codecs are used, and a ten-frame self-test."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from insitrack.io.errors import InsitrackError
from insitrack.io.manifest import installed_versions
from insitrack.segment.models import shipped_models

if TYPE_CHECKING:
    from insitrack.io.frames import Frame

DESCRIPTION = """\
Say what is installed, which processor and codecs are used, and run a ten-frame self-test; or examine a source
and its scale bar.
"""
EPILOG = ""
_FACTS = (
    "kind",
    "container",
    "codec",
    "pix_fmt",
    "mode",
    "levels",
    "bit_depth",
    "exposure_s",
    "n_frames",
    "average_fps",
)
"""What a source says of itself that is printed, in this order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `track doctor`."""
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="movie, folder or file of a microscope to examine"
    )


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Run the command; return the exit status."""
    return doctor() if options.source is None else examine(options.source)


def doctor() -> int:
    """Print what there is and run the self-test; return 0 if everything that the main job needs works."""
    print(f"system          {platform.platform()}, {os.cpu_count()} cores")
    for name, version in installed_versions().items():
        print(f"{name:<16}{version}")
    print(f"processor       {_processor()}")
    print(f"graphics        {_graphics()}")
    good = _codecs()
    print(f"programs        {_programs()}")
    print(f"models          {', '.join(shipped_models()) or 'none'}")
    return 0 if _self_test() and good else 1


def examine(uri: str) -> int:
    """Print what a source is: size, depth, scale, times, and the scale bar that is burnt into it.

    Return 0 if it can be read.
    """
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source

    source = open_source(uri)
    try:
        facts = source.describe()
        for name in _FACTS:
            if facts.get(name) not in (None, ""):
                print(f"{name:<16}{facts[name]}")
        scale, origin = source.calibration.nm_per_px, source.calibration.origin
        print(
            f"scale           {f'{scale:.6g} nm/px, from {origin}' if scale else 'not known: give --nm-per-px'}"
        )
        print(f"time            {source.time_origin}")
        if source.refused:
            print(f"refused         {source.refused}")
        frame = next((item for item in source if isinstance(item, Frame)), None)
        if frame is None:
            print("first frame     none can be read")
            return 1
        _print_frame(frame)
        return 0
    finally:
        source.close()


def _print_frame(frame: Frame) -> None:
    """Print the grey levels of a frame, how much of it is specimen, and its scale bar."""
    import numpy as np

    from insitrack.segment.prepare.field import FieldConfig, FieldFinder
    from insitrack.segment.prepare.scale_bar import find_scale_bar, read_label

    height, width = frame.shape
    low, high = frame.image.min(), frame.image.max()
    print(f"first frame     {width} x {height} px, {frame.image.dtype}, {low} to {high}")
    field = FieldFinder(FieldConfig()).update(frame.image)
    if field is not None:
        share = np.count_nonzero(field) / field.size
        print(f"specimen        {share:.1%} of the image; the rest is text, bars and borders")
    bar = find_scale_bar(frame.image)
    if bar is None:
        print("scale bar       none found")
        return
    bar = read_label(frame.image, bar)
    at_border = bar.x_px == 0 or bar.x_px + bar.length_px >= width
    cut = ", cut off by the border: longer in truth" if at_border else ""
    print(f"scale bar       {bar.length_px} px long, at x {bar.x_px}, y {bar.y_px}{cut}")
    if bar.nm_per_px is not None:
        option = f"--nm-per-px {bar.nm_per_px:.5g}"
        print(f"suggestion      {bar.label!r} beside it: {option}, if that is what you read too")
    else:
        print(
            f"suggestion      --nm-per-px LABEL/{bar.length_px}, with the label of the bar in nm (with"
            " Tesseract installed it would be read)"
        )


def _processor() -> str:
    try:
        import openvino
    except ImportError:
        return "OpenVINO is not installed; networks need ONNX Runtime then"
    core = openvino.Core()
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return (
        f"{core.get_property('CPU', 'FULL_DEVICE_NAME').strip()} through OpenVINO,"
        f" {'bfloat16' if 'BF16' in abilities else '32-bit floats'}"
    )


def _graphics() -> str:
    try:
        import onnxruntime
    except ImportError:
        return "none used (ONNX Runtime with CUDA is not installed)"
    return (
        "CUDA through ONNX Runtime"
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        else "none used"
    )


def _codecs() -> bool:
    from insitrack.io.files.movie import codec_available

    wanted = {
        "h264 (read)": ("h264", "r"),
        "libx264 (write)": ("libx264", "w"),
        "ffv1 (lossless)": ("ffv1", "w"),
    }
    found = {label: codec_available(name, mode) for label, (name, mode) in wanted.items()}
    print(
        "codecs          "
        + ", ".join(f"{label} {'yes' if there else 'MISSING'}" for label, there in found.items())
    )
    return all(found.values())


def _programs() -> str:
    """Say which programs are there that are only needed for some sources."""
    wanted = {"ffmpeg": "SRT streams", "tesseract": "labels of scale bars"}
    return ", ".join(
        f"{name} {'yes' if shutil.which(name) else 'no'} (for {what})" for name, what in wanted.items()
    )


def _self_test() -> bool:
    """Run the main job on a small synthetic movie and read back what it wrote."""
    from insitrack.io.sources import open_source
    from insitrack.tracker.run.track import track

    with tempfile.TemporaryDirectory() as folder:
        try:
            run = track(
                "synth:loops?seed=1&frames=10&size=256",
                Path(folder) / "run",
                thickness_nm=100.0,
                material="fecral",
            )
            movie = open_source(str(run.folder / "annotated.mp4"))
            frames = sum(1 for _ in movie)
            movie.close()
        except InsitrackError as error:
            print(f"self-test       FAILED: {error}")
            return False
        good = (
            frames == 10
            and len(run.frames) == 10
            and len(run.tracks) > 0
            and (run.folder / "report.html").stat().st_size > 0
        )
        speed = run.manifest["results"]["frames_per_s"]
        view = run.manifest["model"]["view"]
        print(
            f"view            detected for the self-test: scale {view['scale']:g}, {view['contrast']}"
            " defects (segment.scale, segment.contrast)"
        )
        print(
            f"self-test       {'passed' if good else 'FAILED'}: 10 frames, {len(run.tracks)} rows,"
            f" {len(run.summary)} tracks, {speed:.1f} frames/s"
        )
        return good
