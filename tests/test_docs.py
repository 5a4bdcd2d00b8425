"""What the README and the pages of docs say is so: their commands run, the files they name exist.

A console or Python block stands below a mark: ``examples`` runs on a drawn movie, ``titanium`` on the real data where they are,
``not run: REASON`` does not run; ``examples with: OPTIONS`` adds options that make a command short. The commands of a page run in
their order, in one folder.
"""

import contextlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import cv2
import pandas as pd
import pytest

from insitrack.tests.support.once import Once
from insitrack.tracker.cli import main

ROOT = Path(__file__).resolve().parents[1]
TITANIUM = ROOT.parent / "shared" / "data" / "ti-anneal"
GENERATED = {"tables.md", "settings.md", "commands.md"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [path for path in PAGES if path.name not in GENERATED]
_BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.S | re.M)


@dataclass(frozen=True)
class Block:
    """A block of code in a page, with the mark above it."""

    kind: str
    mark: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines that begin with a prompt, less a comment at their end."""
        lines = [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s+# .*", "", line) for line in lines]


def blocks(page: Path) -> Iterator[Block]:
    """Every block of a page."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(found["kind"], found["mark"] or "", found["text"])


def run(line: str, folder: Path, *more: str) -> None:
    """Run the `track` command of a line in a folder; training in a process of its own, see conftest."""
    program, *words = [*shlex.split(line), *more]
    assert program == "track", line
    if words[0] == "train":
        command = [sys.executable, "-m", "insitrack.tracker.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    else:
        with contextlib.chdir(folder):
            assert main(words) == 0, line


def marked(page: Path, mark: str) -> list[Block]:
    """Blocks of a page that have a mark."""
    return [block for block in blocks(page) if block.mark.split(" with: ")[0] == mark]


def run_page(page: Path, mark: str, folder: Path) -> None:
    """Run every block of a page that has a mark; a command that fails is an error."""
    for block in marked(page, mark):
        if block.kind == "python":
            names: dict[str, object] = {}
            exec(compile(block.text, page.name, "exec"), names)
        for line in block.commands:
            run(line, folder, *shlex.split(block.mark.partition(" with: ")[2]))


@pytest.fixture(scope="module")
def drawn(once: Once) -> Path:
    """A folder with `movie.mp4`, and labelled frames of it in `labelled`."""
    return once("drawn", draw_examples)


def draw_examples(folder: Path) -> None:
    """Draw what the examples of the pages work on."""
    from insitrack.io.sources import open_source
    from insitrack.io.synth.source import SynthSource

    run("track synth two_beam --frames 40 --size 192 --seed 5 --out made", folder)
    (folder / "made" / "movie.mp4").rename(folder / "movie.mp4")
    labelled = folder / "labelled"
    labelled.mkdir()
    scene = SynthSource("synth:two_beam?seed=6&frames=40&size=192")
    classes = [{"id": 1, "name": "faulted"}, {"id": 2, "name": "perfect"}]
    pictures, outlines = [], []
    for number, frame in enumerate(open_source("synth:two_beam?seed=6&frames=40&size=192&overlay=0")):
        if number % 8 or not hasattr(frame, "image"):
            continue
        name = f"{'ab'[number % 16 > 0]}_{number:03d}.png"
        cv2.imwrite(str(labelled / name), frame.image)
        height, width = frame.image.shape
        pictures.append({"id": number, "file_name": name, "width": width, "height": height})
        masks = scene.truth(number).masks
        for i in range(len(masks)):
            one = {"id": len(outlines) + 1, "image_id": number, "category_id": 1 + i % 2, "iscrowd": 0}
            x1, y1, x2, y2 = (float(edge) for edge in masks.boxes()[i])
            box = [x1, y1, x2 - x1, y2 - y1]
            rle = masks.rle(i, (height, width))
            outlines.append({**one, "bbox": box, "area": float(masks.area_px()[i]), "segmentation": rle})
    coco = {"images": pictures, "annotations": outlines, "categories": classes}
    (labelled / "labels.json").write_text(json.dumps(coco), encoding="utf-8")
    rows = [f"{frame},{20 + frame * 0.5},{30 + 40 * one},9" for frame in range(20) for one in range(4)]
    (folder / "detections.csv").write_text(
        "\n".join(["frame,x_px,y_px,size_px", *rows]) + "\n", encoding="utf-8"
    )


def prepared(drawn: Path, folder: Path) -> Path:
    """A folder of its own with what the examples need."""
    for path in drawn.iterdir():
        (folder / path.name).symlink_to(path, target_is_directory=path.is_dir())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in WRITTEN if marked(page, "examples")], ids=lambda path: path.name
)
def test_the_examples_of_a_page_run(
    page: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {path.name for path in prepared(drawn, tmp_path).iterdir()}
    monkeypatch.chdir(tmp_path)
    run_page(page, "examples", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} > there  # every page with examples writes something


@pytest.mark.slow
def test_cells_are_empty_where_the_readme_says_so(drawn: Path, tmp_path: Path) -> None:
    lengths = {"size_nm", "field_nm2", "density_per_m2"}
    volumes = {"density_per_m3"}
    hardening = {"hardening_linear_mpa", "hardening_quadrature_mpa"}
    given: list[tuple[str, set[str]]] = [
        ("", lengths | volumes | hardening | {"dose_dpa"}),
        ("--nm-per-px 0.4", volumes | hardening | {"dose_dpa"}),
        ("--nm-per-px 0.4 --thickness-nm 100 --dose-rate 1e-3", hardening),
        ("--nm-per-px 0.4 --thickness-nm 100 --dose-rate 1e-3 --material fecral", set()),
    ]
    for number, (options, empty) in enumerate(given):
        run(f"track {drawn}/movie.mp4 --no-video --end 1 --out run{number} {options}", tmp_path)
        series = pd.read_csv(tmp_path / f"run{number}" / "series.csv").query(
            "defect_class == 'all' and n > 0"
        )
        assert len(series) > 0
        known = {name for name in lengths | volumes | hardening | {"dose_dpa"} if series[name].notna().all()}
        unknown = {name for name in lengths | volumes | hardening | {"dose_dpa"} if series[name].isna().all()}
        assert unknown == empty
        assert known == (lengths | volumes | hardening | {"dose_dpa"}) - empty


@pytest.mark.slow
@pytest.mark.skipif(not TITANIUM.is_dir(), reason="the titanium frames are not in ../shared/data")
def test_the_tutorial_runs_on_the_real_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "titanium"
    data.mkdir()
    for name in ("images", "annotation_new", "frame_time_temperature.csv"):
        (data / name).symlink_to(TITANIUM / name)
    (data / "glide").symlink_to(TITANIUM / "consecutive" / "1691-1698_crop")
    chosen = tmp_path / "titanium_labelled"
    chosen.mkdir()
    for path in sorted((TITANIUM / "images").glob("*.jpg"))[::5]:
        for one in (path, TITANIUM / "annotation_new" / f"{path.stem}.txt"):
            (chosen / one.name).symlink_to(one)
    run_page(ROOT / "docs" / "tutorial.md", "titanium", tmp_path)
    assert (tmp_path / "heating.pdf").stat().st_size > 0
    assert (tmp_path / "figure" / "figure.pdf").stat().st_size > 0
    mover = pd.read_csv(tmp_path / "gliding" / "summary.csv").nlargest(1, "net_displacement_nm").iloc[0]
    speed_nm_per_s = mover["net_displacement_nm"] / mover["lifetime_s"]
    assert speed_nm_per_s == pytest.approx(2.31, rel=0.35)  # measured by hand


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_command_shown_runs_or_says_why_not(page: Path) -> None:
    unmarked = [
        block.text
        for block in blocks(page)
        if block.kind == "console" and not re.match(r"examples|titanium|demo$|tests$|not run: \w", block.mark)
    ]
    assert unmarked == []


def generator() -> ModuleType:
    """The script that writes the generated pages."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_that_follow_from_the_code_are_up_to_date() -> None:
    for name, text in generator().pages().items():
        found = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert found == text, f"docs/{name} is not what the code says; run: python docs/generate.py"


def named_paths(text: str) -> set[str]:
    """Paths inside the repository that a text names in code or as a link, like `io/units.py` or docs/physics.md."""
    tops = "io|segment|tracker|configs|docs|tests|benchmarks"
    found = set(
        re.findall(
            rf"(?<![\w./-])(?:{tops})/[\w/.-]*\w\.(?:py|md|toml|json|html|png|jpg|yaml|csv|npz)\b", text
        )
    )
    return {path for path in found if not re.search(r"[*{<]", path)}


def test_every_file_that_is_named_exists() -> None:
    texts = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "configs" / "default.toml"]
    for floor in ("io", "segment", "tracker", "benchmarks", "docs", "tests"):
        texts += sorted((ROOT / floor).rglob("*.py"))
    missing = [
        f"{path.relative_to(ROOT)}: {named}"
        for path in texts
        for named in sorted(named_paths(path.read_text(encoding="utf-8")))
        if not (ROOT / named).exists()
    ]
    assert missing == []


def test_every_wing_and_module_that_a_page_names_exists() -> None:
    modules = {path.name for floor in ("io", "segment", "tracker") for path in (ROOT / floor).rglob("*.py")}
    for page in WRITTEN:
        alone = set(re.findall(r"`(\w+\.py)`", page.read_text(encoding="utf-8")))
        assert alone <= modules, page.name
        for named in re.findall(r"`((?:io|segment|tracker)/[\w/]+?)/?`", page.read_text(encoding="utf-8")):
            assert (ROOT / named).exists() or (ROOT / f"{named}.py").exists(), f"{page.name}: {named}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_prose_has_short_lines(page: Path) -> None:
    text = _BLOCK.sub("", page.read_text(encoding="utf-8").split("<!-- scoreboard -->")[0])
    long = [
        line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "![", "- **"))
    ]
    assert long == []


def test_no_page_names_a_folder_of_a_machine() -> None:
    for page in PAGES:
        assert os.sep + "work" + os.sep not in page.read_text(encoding="utf-8")
