"""`track doctor`: what is installed, which processor and codecs are used, and a ten-frame self-test."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

from insitrack.io.errors import InsitrackError
from insitrack.io.manifest import installed_versions
from insitrack.segment.base import shipped_models


def doctor() -> int:
    """Print what there is and run the self-test; return 0 if everything that the main job needs works."""
    print(f"system          {platform.platform()}, {os.cpu_count()} cores")
    for name, version in installed_versions().items():
        print(f"{name:<16}{version}")
    print(f"processor       {_processor()}")
    print(f"graphics        {_graphics()}")
    good = _codecs()
    print(f"models          {', '.join(shipped_models()) or 'none'}")
    return 0 if _self_test() and good else 1


def _processor() -> str:
    try:
        import openvino
    except ImportError:
        return "OpenVINO is not installed; networks need ONNX Runtime then"
    core = openvino.Core()
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return f"{core.get_property('CPU', 'FULL_DEVICE_NAME').strip()} through OpenVINO, {'bfloat16' if 'BF16' in abilities else '32-bit floats'}"


def _graphics() -> str:
    try:
        import onnxruntime
    except ImportError:
        return "none used (ONNX Runtime with CUDA is not installed)"
    return "CUDA through ONNX Runtime" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "none used"


def _codecs() -> bool:
    from insitrack.io.video import codec_available

    wanted = {"h264 (read)": ("h264", "r"), "libx264 (write)": ("libx264", "w"), "ffv1 (lossless)": ("ffv1", "w")}
    found = {label: codec_available(name, mode) for label, (name, mode) in wanted.items()}
    print("codecs          " + ", ".join(f"{label} {'yes' if there else 'MISSING'}" for label, there in found.items()))
    return all(found.values())


def _self_test() -> bool:
    """Run the main job on a small synthetic movie and read back what it wrote."""
    from insitrack.io.sources import open_source
    from insitrack.tracker.run import track

    with tempfile.TemporaryDirectory() as folder:
        try:
            run = track("synth:loops?seed=1&frames=10&size=256", Path(folder) / "run", thickness_nm=100.0, material="fecral")
            movie = open_source(str(run.folder / "annotated.mp4"))
            frames = sum(1 for _ in movie)
            movie.close()
        except InsitrackError as error:
            print(f"self-test       FAILED: {error}")
            return False
        good = frames == 10 and len(run.frames) == 10 and len(run.tracks) > 0 and (run.folder / "report.html").stat().st_size > 0
        speed = run.manifest["results"]["frames_per_s"]
        view = run.manifest["model"]["view"]
        print(f"view            found out for the self-test: scale {view['scale']:g}, {view['contrast']} defects (segment.scale, segment.contrast)")
        print(f"self-test       {'passed' if good else 'FAILED'}: 10 frames, {len(run.tracks)} rows, {len(run.summary)} tracks, {speed:.1f} frames/s")
        return good
