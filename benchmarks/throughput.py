"""Speed of the whole job, against `yolo track` and against the bare network, in one run on one machine.

The movie is drawn here: 1024 x 1024 grey H.264 with about 100 defects a frame. `yolo track` gets the same
weights, the same input size, ByteTrack, `save=True` and streaming; its rate is taken between two movies of
different length, so that start-up does not count against it. Ours is taken the same way. The parts are
interleaved and repeated, because machines are noisy.

    python benchmarks/throughput.py [--frames 200] [--repeats 3]

writes benchmarks/throughput.json and benchmarks/throughput.md.
"""

from __future__ import annotations

import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import record

HERE = Path(__file__).resolve().parent
SMALL = {"SIZE": 256, "DEFECTS": 20}
SIZE, DEFECTS = 1024, 210
REPORT_SECONDS: list[float] = []
YOLO = """
import os, sys, time
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
from ultralytics import YOLO, settings
settings.update({"sync": False})
import torch
model = YOLO(sys.argv[1])
threads = int(sys.argv[3])
started = None
n = 0
options = dict(imgsz=int(sys.argv[5]), tracker="bytetrack.yaml", save=True, stream=True, verbose=False, device="cpu", project=sys.argv[4])
for result in model.track(sys.argv[2], **options):
    if n == 0 and threads:
        torch.set_num_threads(threads)
    n += 1
    if n == 3:  # the first frames carry the warm-up
        started = time.perf_counter()
print("RATE", (n - 3) / (time.perf_counter() - started), torch.get_num_threads(), len(result.boxes))
"""


def draw_movie(folder: Path, frames: int) -> Path:
    from insitrack.io.synth.files import write_synth

    write_synth(f"synth:loops?seed=11&frames={frames}&size={SIZE}&n={DEFECTS}&drift=0.5", folder)
    return folder / "movie.mp4"


def shorten(movie: Path, frames: int) -> Path:
    """Encode the first frames again at the encoder's usual quality: drawn movies are written at a higher one."""
    from insitrack.io.draw.movie_writer import MovieWriter
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source

    short = movie.with_name(f"short{frames}.mp4")
    source = open_source(str(movie))
    with MovieWriter(short, playback_fps="timestamps") as writer:
        for item in source:
            if item.index >= frames:
                break
            assert isinstance(item, Frame)
            writer.write(item.image, item.t_s)
    source.close()
    return short


def for_yolo(weights: Path, folder: Path) -> Path:
    """Write the checkpoint as ultralytics stores its own.

    Ours holds weights and architecture only, which it does not read.
    """
    import torch

    from insitrack.segment.training.export import load_checkpoint

    network = load_checkpoint(weights).network()
    network.task, network.args = "segment", {"imgsz": SIZE, "task": "segment"}
    out = folder / "yolo.pt"
    torch.save({"model": network, "train_args": {"task": "segment", "imgsz": SIZE}}, out)
    return out


def rate_of_yolo(weights: Path, movie: Path, threads: int, folder: Path) -> float:
    """Frames per second of `yolo track`; threads 0 leaves what it sets itself."""
    arguments = [str(weights), str(movie), str(threads), str(folder), str(SIZE)]
    done = subprocess.run(
        [sys.executable, "-c", YOLO, *arguments], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RATE")]
    if not lines:
        raise SystemExit(f"yolo track failed:\n{done.stderr[-2000:]}")
    return float(lines[0].split()[1])


def rate_of_ours(movie: Path, folder: Path, video: bool) -> tuple[float, float]:
    """Frames per second of the whole job after its first ten frames, until tables and movie are closed.

    And detections per frame.

    The report, written once at the end whatever the length of the movie, is left out; `measure` tells its
    time.
    """
    from unittest import mock

    from insitrack.tracker.run.job import closing
    from insitrack.tracker.run.track import track

    times: list[float] = []
    ends: list[float] = []
    write_report = closing.write_report

    def reported(*arguments: Any) -> Path:
        ends.append(time.perf_counter())
        page = write_report(*arguments)
        REPORT_SECONDS.append(time.perf_counter() - ends[0])
        return page

    given = {"nm_per_px": 0.5, "thickness_nm": 100.0, "material": "fecral"}
    with mock.patch.object(closing, "write_report", reported):
        run = track(
            movie,
            folder,
            video=video,
            overwrite=True,
            progress=lambda *_: times.append(time.perf_counter()),
            **given,
        )
    rate = (len(times) - 10) / (ends[0] - times[9])
    return rate, run.manifest["results"]["detections"] / run.manifest["results"]["processed"]


def rate_of_network(movie: Path, frames: int = 60) -> float:
    """Frames per second of the bare network on the same runtime.

    Pictures ready in memory, outputs thrown away.
    """
    from insitrack.segment.models import find_model
    from insitrack.segment.networks.runtime import load_network

    network = load_network(find_model("loops").weights)
    pictures = decoded(movie, 12)
    for _ in network.stream((picture, None) for picture in pictures):
        pass
    started = time.perf_counter()
    for _ in network.stream((pictures[i % len(pictures)], None) for i in range(frames)):
        pass
    return frames / (time.perf_counter() - started)


def decoded(movie: Path, frames: int) -> list[Any]:
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source

    source = open_source(str(movie))
    pictures = []
    for item in source:
        if isinstance(item, Frame):
            pictures.append(item.image)
        if len(pictures) == frames:
            break
    source.close()
    return pictures


def settled_segmenter(movie: Path, frames: int = 8) -> Any:
    """Segmenter that shows each frame as a run shows those of a movie, once, at a scale and a polarity that are known.

    They are found once in a run, which is no cost of a frame; a single frame would be a micrograph to it, which is
    shown in three scales.
    """
    from dataclasses import replace

    from insitrack.io.frames import Frame
    from insitrack.segment.models import find_model
    from insitrack.segment.networks.yolo import YoloSegmenter
    from insitrack.tracker.run.config import RunConfig

    config = RunConfig()
    settings = replace(config.segment, looks=1)
    if config.judged is not None:
        settings = replace(settings, confidence=config.judged.candidate_score)
    segmenter = YoloSegmenter(find_model("loops"), settings)
    for _ in segmenter.stream(
        (Frame(i, float(i), image), None, None) for i, image in enumerate(decoded(movie, frames))
    ):
        pass
    seen = segmenter.describe()["view"]
    return YoloSegmenter(
        find_model("loops"), replace(settings, scale=seen["scale"], contrast=seen["contrast"])
    )


def stage_costs(movie: Path, folder: Path, frames: int = 60) -> dict[str, float]:
    """Core time per frame of each stage, ms, every stage run alone and in turn.

    Processor time of the process, all threads.
    """
    from insitrack.io.draw.annotate import Annotator
    from insitrack.io.draw.movie_writer import MovieWriter
    from insitrack.io.frames import Frame
    from insitrack.io.sources import open_source
    from insitrack.io.tables.sink import TableSink
    from insitrack.segment.prepare.field import FieldFinder
    from insitrack.tracker.existence.live import LiveExistence
    from insitrack.tracker.hardening.materials import load_material
    from insitrack.tracker.link.drift import DriftEstimator
    from insitrack.tracker.link.linker import Linker
    from insitrack.tracker.link.view_scale import ViewScale
    from insitrack.tracker.run.config import RunConfig
    from insitrack.tracker.run.follow import PreparedFrame, follow
    from insitrack.tracker.series.dose import Exposure
    from insitrack.tracker.series.meter import SeriesMeter

    cost: dict[str, float] = defaultdict(float)

    def timed(stage: str, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = call()
        cost[stage] += time.process_time() - started
        return result

    import cv2

    cv2.setNumThreads(1)
    config = RunConfig()
    segmenter = settled_segmenter(movie)
    source = open_source(str(movie), nm_per_px=0.5)
    calibration = source.calibration.with_(thickness_nm=100.0)
    meter = SeriesMeter(
        config.series,
        calibration,
        load_material("fecral"),
        Exposure(1e-3),
        class_names=segmenter.model.classes,
    )
    linker, drift, fields = Linker(config.link), DriftEstimator(config.drift), FieldFinder(config.field)
    existence, scale = LiveExistence(config.judged), ViewScale(calibration)
    items = iter(source)
    annotator = Annotator(nm_per_px=0.5)
    with TableSink(folder) as tables, MovieWriter(folder / "stage.mp4") as writer:
        for n in range(frames + 3):
            if n == 3:
                cost.clear()
            frame = timed("decode", lambda: next(items))
            assert isinstance(frame, Frame)
            field = timed("overlays and borders", lambda frame=frame: fields.update(frame.image))
            moved = timed("drift", lambda frame=frame, field=field: drift.update(frame, field))
            detections = timed("network and masks", lambda frame=frame, field=field: segmenter(frame, field))
            looked = PreparedFrame(frame, field, moved[-1].shift_px if moved else (0.0, 0.0))
            tracked = timed(
                "measure, link, series",
                lambda detections=detections, looked=looked: follow(
                    detections, looked, linker, meter, existence, scale, config.measure
                ),
            )
            timed("tables", lambda tracked=tracked: tables.write(tracked))
            canvas = timed("draw", lambda tracked=tracked: annotator.paint(tracked))
            timed("encode", lambda canvas=canvas, frame=frame: writer.write(canvas.bgr(), frame.t_s))
    source.close()
    return {stage: 1e3 * seconds / frames for stage, seconds in cost.items()}


def network_core_ms(movie: Path, frames: int = 40) -> float:
    """Core time per frame of the bare network, ms."""
    from insitrack.segment.models import find_model
    from insitrack.segment.networks.runtime import load_network

    network = load_network(find_model("loops").weights)
    pictures = decoded(movie, 8)
    for _ in network.stream((picture, None) for picture in pictures):
        pass
    started = time.process_time()
    for _ in network.stream((pictures[i % len(pictures)], None) for i in range(frames)):
        pass
    return 1e3 * (time.process_time() - started) / frames


def yolo_runs() -> bool:
    """Tell whether what `yolo track` needs besides ultralytics is installed."""
    return find_spec("lap") is not None


def measure(frames: int, repeats: int, weights: Path, smoke: bool) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="throughput_"))
    try:
        movie = shorten(draw_movie(folder, frames), frames)
        short = shorten(movie, 23)
        weights = for_yolo(weights, folder)
        rates: dict[str, list[float]] = defaultdict(list)
        per_frame = 0.0
        for _ in range(repeats):
            rates["bare network"].append(rate_of_network(movie))
            rate, per_frame = rate_of_ours(movie, folder / "run", video=False)
            rates["track --no-video"].append(rate)
            rates["track"].append(rate_of_ours(movie, folder / "run", video=True)[0])
            rates["bare network"].append(rate_of_network(movie))
            for name, threads in (("yolo track, as installed", 0), ("yolo track, 2 threads", 2)):
                left_out = smoke and (threads == 0 or not yolo_runs())
                rate = math.nan if left_out else rate_of_yolo(weights, short, threads, folder / "yolo")
                rates[name].append(rate)
        costs = stage_costs(movie, folder, min(60, frames - 3))
        return {
            "machine": record.machine(),
            "command": "python " + " ".join(["benchmarks/throughput.py", *sys.argv[1:]]),
            "movie": f"{SIZE} x {SIZE}, grey H.264, {frames} frames, {per_frame:.0f} detections a frame",
            "frames_per_s": {name: statistics.median(values) for name, values in rates.items()},
            "all_frames_per_s": dict(rates),
            "stage_core_ms": costs,
            "network_core_ms": network_core_ms(movie),
            "report_s": statistics.median(REPORT_SECONDS),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def page(result: dict[str, Any]) -> str:
    rates, costs = result["frames_per_s"], result["stage_core_ms"]
    bare, network = rates["bare network"], result["network_core_ms"]
    with_movie = sum(costs.values())
    without = with_movie - costs["draw"] - costs["encode"]
    lines = [
        "# Throughput of the whole job",
        "",
        f"{result['movie']}. {result['machine']}. `{result['command']}`. Medians.",
        "",
    ]
    lines += [
        "| | frames/s | of the bare network | times yolo track, as installed | times yolo track, 2 threads |",
        "|---|---|---|---|---|",
    ]
    for name in (
        "bare network",
        "track --no-video",
        "track",
        "yolo track, as installed",
        "yolo track, 2 threads",
    ):
        installed, two = (
            rates[name] / rates["yolo track, as installed"],
            rates[name] / rates["yolo track, 2 threads"],
        )
        lines.append(
            f"| {name} | {rates[name]:.2f} | {rates[name] / bare:.0%} | {installed:.1f} | {two:.1f} |"
        )
    lines += ["", "Core time of each stage run alone, per frame:", "", "| stage | ms |", "|---|---|"]
    lines += [f"| {stage} | {ms:.1f} |" for stage, ms in costs.items()]
    lines += [f"| (the bare network within it) | {network:.1f} |", ""]
    lines.append(
        f"If the stages only shared the cores, the whole job would reach {network / without:.0%} of the bare"
        f" network's rate without the movie and {network / with_movie:.0%} with it; wanted are 85 % and 70 %."
    )
    lines.append(f"The report, written once at the end of a run, takes {result['report_s']:.1f} s more.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = record.options(__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--weights",
        type=Path,
        default=HERE.parent / "segment" / "weights" / "loops.pt",
        help="the same network for yolo track",
    )
    options = parser.parse_args()
    if options.smoke:
        globals().update(SMALL)
        options.frames, options.repeats = 13, 1
    elif not yolo_runs():
        parser.error('the comparison needs what `yolo track` uses: pip install -e ".[benchmark]"')
    result = measure(options.frames, options.repeats, options.weights, options.smoke)
    record.keep(__file__, result, page(result), options.results)


if __name__ == "__main__":
    main()
