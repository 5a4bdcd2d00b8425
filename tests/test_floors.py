"""The house: imports only go down, every heavy library has one home, the package list is the tree."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"io": 0, "segment": 1, "tracker": 2}
HOMES = {
    "av": {"io/files/movie.py", "io/draw/movie_writer.py", "io/live/feeds.py", "io/live/replay.py"},
    "matplotlib": {"io/report/paper_figure.py"},
    "pyarrow": {"io/tables/stream.py", "io/tables/tidy.py", "tracker/commands/series.py"},
    "starlette": {"io/live/view.py"},
    "uvicorn": {"io/live/view.py"},
    "roifile": {"segment/labels/drawn.py"},
    "ultralytics": {"segment/training/yolo.py", "segment/training/export.py"},
    "openvino": {"segment/networks/runtime.py", "tracker/commands/doctor.py"},
    "onnxruntime": {"segment/networks/runtime.py", "tracker/commands/doctor.py"},
    "plotly": {"io/report/page.py", "io/report/run_plots.py", "io/report/evaluation_plots.py"},
    "rsciio": {"io/files/vendor.py"},
    "skimage": {"segment/lines/graph.py"},
    "tifffile": {"io/files/tiff.py"},
    "torchvision": {"segment/networks/maskrcnn_network.py", "segment/training/maskrcnn.py"},
}
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write insitrack.{path.parent.name}..."
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    floor = FLOORS[path.relative_to(ROOT).parts[0]]
    for name in imported_modules(path):
        parts = name.split(".")
        assert parts[0] not in ("segment", "tracker", "configs"), (
            f"{path}: import insitrack.{name}: the bare name is a second copy"
        )
        if parts[0] == "insitrack" and len(parts) > 1 and parts[1] in FLOORS:
            assert FLOORS[parts[1]] <= floor, f"{path} imports {name}: imports only go down"


@pytest.mark.parametrize("library", sorted(HOMES))
def test_heavy_library_has_one_home(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if library in {name.split(".")[0] for name in imported_modules(path)}
    }
    assert users <= HOMES[library]


def test_hardening_imports_nothing_of_ours() -> None:
    assert not any(
        name.startswith("insitrack")
        for name in imported_modules(ROOT / "tracker" / "hardening" / "models.py")
    )


def test_package_list_is_the_tree() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    )
    found = {"insitrack"}
    for floor in (*FLOORS, "configs"):
        found |= {
            ".".join(("insitrack", *init.parent.relative_to(ROOT).parts))
            for init in (ROOT / floor).rglob("__init__.py")
        }
    assert listed == found


def test_help_loads_no_heavy_library() -> None:
    heavy = (
        "torch",
        "av",
        "pandas",
        "cv2",
        "numpy",
        "openvino",
        "ultralytics",
        "torchvision",
        "plotly",
        "rich",
    )
    code = (
        "import sys, contextlib, io\nfrom insitrack.tracker.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout
    assert printed.strip() == "[]"


def test_main_job_needs_neither_torch_nor_ultralytics() -> None:
    code = (
        "import sys, tempfile, insitrack\n"
        "insitrack.track('synth:loops?seed=1&frames=2&size=128', tempfile.mkdtemp())\n"
        "print([name for name in ('torch', 'torchvision', 'ultralytics') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT.parent,
    ).stdout
    assert printed.strip() == "[]"
