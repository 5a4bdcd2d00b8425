"""The house: imports go down the floors and along the order of wings, in no circle; files stay small.

Every heavy library has one home, and the package list is the tree.
"""

import ast
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# The order of wings inside each floor, the lowest first. A file imports from its own wing, from earlier rows
# and from lower floors; wings of one row do not import each other. The nouns of a floor stand as files in its
# folder and are named here without a suffix; "nouns" are those that no row names.
ORDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "io": (
        ("nouns",),
        ("files", "tables", "pages"),
        ("draw",),
        ("exchange",),
        ("synth", "live", "report"),
        ("sources",),
        ("__init__",),
    ),
    "segment": (
        ("nouns", "lines", "labels", "prepare"),
        ("networks", "scores"),
        ("models", "training"),
        ("finetune",),
        ("__init__",),
    ),
    "tracker": (
        ("nouns", "link", "hardening", "kinetics"),
        ("measure", "series", "existence", "trust"),
        ("hindsight",),
        ("run",),
        ("analysis", "evaluation", "labelling"),
        ("many", "napari_plugin", "review"),
        ("commands",),
        ("cli",),
        ("__init__",),
    ),
}
# Known offenders. Each list may only shrink: an entry that offends no longer must be taken out.
CLIMBS: set[tuple[str, str]] = set()
CIRCLES: set[frozenset[str]] = set()
LARGE_FILES: set[str] = set()
LARGE_CLASSES: set[str] = set()
LARGE_FUNCTIONS: set[str] = set()
BORROWED: set[tuple[str, str]] = set()

MOST_FILES, MOST_LINES, MEDIAN_LINES, MOST_CLASS_LINES, MOST_FUNCTION_LINES = 16, 420, 170, 200, 70

HOMES = {
    "dask": {"tracker/many/cluster.py"},
    "dask_jobqueue": {"tracker/many/cluster.py"},
    "distributed": {"tracker/many/cluster.py", "tracker/many/worker.py"},
    "duckdb": {"tracker/many/catalogue.py"},
    "filelock": {"tracker/run/lock.py"},
    "shtab": {"tracker/cli.py"},
    "av": {"io/files/movie.py", "io/draw/movie_writer.py", "io/live/feeds.py", "io/live/replay.py"},
    "hyperspy": {"tracker/run/job/finished.py"},
    "matplotlib": {"io/report/paper_figure.py"},
    "pydantic": {"tracker/run/validation.py"},
    "pydantic_core": {"tracker/run/validation.py"},
    "pyarrow": {
        "io/tables/outlines/masks.py",
        "io/tables/parquet.py",
        "io/tables/stream.py",
        "io/tables/tidy.py",
        "tracker/analysis/series_files.py",
        "tracker/many/together.py",
    },
    "starlette": {
        "io/live/page/plot_routes.py",
        "io/live/page/server.py",
        "io/pages/scripts.py",
        "io/pages/server.py",
        "tracker/labelling/server.py",
        "tracker/many/beamtime_page.py",
        "tracker/review/server.py",
    },
    "uvicorn": {"io/pages/limits.py", "io/pages/server.py"},
    "roifile": {"io/exchange/imagej.py", "segment/labels/imagej.py"},
    "ultralytics": {
        "segment/training/export.py",
        "segment/training/harmless.py",
        "segment/training/losses.py",
        "segment/training/yolo.py",
    },
    "openvino": {"segment/networks/runtime.py", "tracker/commands/doctor.py"},
    "onnxruntime": {"segment/networks/runtime.py", "tracker/commands/doctor.py"},
    "plotly": {
        "io/report/batch_report.py",
        "io/report/page.py",
        "io/report/micrograph_plots.py",
        "io/report/run_plots.py",
        "io/report/evaluation_plots.py",
        "io/report/plot_style.py",
        "io/report/track_plots.py",
    },
    "rsciio": {"io/files/vendor.py"},
    "skimage": {"segment/lines/graph.py"},
    "tifffile": {"io/exchange/labels.py", "io/files/tiff.py"},
    "torchvision": {
        "segment/networks/architecture.py",
        "segment/networks/maskrcnn_network.py",
        "segment/networks/weights.py",
        "segment/training/maskrcnn.py",
    },
}

FLOORS = {floor: level for level, floor in enumerate(ORDER)}
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Names that a file imports, at its top or inside functions, with what it takes from modules."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write insitrack.{path.parent.name}..."
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def file_of(name: str) -> Path | None:
    """File of a dotted name of ours; None for a name inside a module."""
    path = ROOT.joinpath(*name.split(".")[1:])
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


@cache
def imported_files(path: Path) -> frozenset[Path]:
    """Files of the three floors that a file imports; a module that is named takes the place of its package."""
    named = {name for name in imported_modules(path) if name.split(".")[0] == "insitrack"}
    found = {name: file for name in named if (file := file_of(name)) and file.parent != ROOT}
    packages = {name.rpartition(".")[0] for name in found}
    # `from insitrack.io.tables import columns` names the package on the way to the module only
    only_passed = {
        name for name in packages if all(each in found for each in named if each.rpartition(".")[0] == name)
    }
    return frozenset(file for name, file in found.items() if name not in only_passed) - {path}


def place_of(path: Path) -> tuple[int, str, int]:
    """Floor, wing and row of a file."""
    floor, *rest = path.relative_to(ROOT).parts
    rows = {wing: row for row, wings in enumerate(ORDER[floor]) for wing in wings}
    wing = rest[0].removesuffix(".py")
    if len(rest) == 1 and wing not in rows:
        wing = "nouns"
    assert wing in rows, f"{name_of(path)}: give the wing {floor}/{wing} its row in ORDER"
    return FLOORS[floor], wing, rows[wing]


def circles(graph: dict[Path, frozenset[Path]]) -> set[frozenset[str]]:
    """Groups of files each of which reaches all others of its group."""
    reach = {start: reachable(graph, start) for start in graph}
    return {
        frozenset({name_of(start)} | {name_of(file) for file in files if start in reach.get(file, ())})
        for start, files in reach.items()
        if start in files
    }


def reachable(graph: dict[Path, frozenset[Path]], start: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = list(graph[start])
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += graph.get(file, ())
    return found


def only_the_known(found: set[Any], known: set[Any]) -> None:
    assert not found - known, "new offenders"
    assert not known - found, "they offend no longer: take them out of the list"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_go_down_the_floors(path: Path) -> None:
    for name in imported_modules(path):
        assert name.split(".")[0] not in ("segment", "tracker", "configs"), (
            f"{path}: import insitrack.{name}: the bare name is a second copy"
        )
    for file in imported_files(path):
        assert place_of(file)[0] <= place_of(path)[0], f"{name_of(path)} imports {name_of(file)}"


def test_imports_inside_a_floor_go_down_the_order_of_wings() -> None:
    found = set()
    for path in MODULES:
        floor, wing, row = place_of(path)
        for file in imported_files(path):
            other_floor, other_wing, other_row = place_of(file)
            if other_floor == floor and other_wing != wing and other_row >= row:
                found.add((name_of(path), name_of(file)))
    only_the_known(found, CLIMBS)


def test_no_files_import_each_other_in_a_circle() -> None:
    only_the_known(circles({path: imported_files(path) for path in MODULES}), CIRCLES)


def test_files_are_small() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (*MODULES, *TESTS)}
    only_the_known({name_of(path) for path, length in lengths.items() if length > MOST_LINES}, LARGE_FILES)
    assert statistics.median(lengths[path] for path in MODULES) <= MEDIAN_LINES


def test_classes_are_small() -> None:
    found = {
        f"{name_of(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno >= MOST_CLASS_LINES
    }
    only_the_known(found, LARGE_CLASSES)


def test_functions_are_small() -> None:
    found = {
        f"{name_of(path)}: {node.name}"
        for path in (*MODULES, *TESTS, *BENCHMARKS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_FUNCTION_LINES
    }
    only_the_known(found, LARGE_FUNCTIONS)


def test_a_folder_fits_on_one_screen() -> None:
    files = Counter(name_of(path.parent) for path in (*MODULES, *TESTS))
    assert not {folder: n for folder, n in files.items() if n > MOST_FILES}


def test_no_test_and_no_benchmark_imports_a_test() -> None:
    found = {
        (name_of(path), name)
        for path in (*TESTS, *BENCHMARKS)
        for name in imported_modules(path)
        if name.split(".")[0] == "insitrack" and name.split(".")[-1].startswith("test_")
    }
    only_the_known(found, BORROWED)  # what they share belongs into tests/support


@pytest.mark.parametrize("library", sorted(HOMES))
def test_heavy_library_has_one_home(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if library in {name.split(".")[0] for name in imported_modules(path)}
    }
    assert users <= HOMES[library]


def test_laws_of_hardening_import_nothing_of_ours() -> None:
    assert not any(
        name.startswith("insitrack") for name in imported_modules(ROOT / "tracker" / "hardening" / "laws.py")
    )


def test_package_list_is_the_tree() -> None:
    listed = settings()["packages"]
    found = {"insitrack"}
    for floor in (*FLOORS, "configs"):
        found |= {
            ".".join(("insitrack", *init.parent.relative_to(ROOT).parts))
            for init in (ROOT / floor).rglob("__init__.py")
        }
    assert set(listed) == found
    assert len(listed) == len(set(listed))


def test_every_file_that_is_no_code_is_package_data() -> None:
    patterns = settings()["package-data"]
    packed = {
        path
        for package, globs in patterns.items()
        for pattern in globs
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    kept = subprocess.run(
        ["git", "ls-files", *FLOORS, "configs"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.split()
    data = {ROOT / name for name in kept if not name.endswith(".py")}
    assert data - packed == set()
    for package, globs in patterns.items():
        for pattern in globs:
            assert list(ROOT.joinpath(*package.split(".")[1:]).glob(pattern)), f"{package}: no {pattern}"


def settings() -> dict[str, dict[str, list[str]]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    answer: dict[str, dict[str, list[str]]] = tomllib.loads(text)["tool"]["setuptools"]
    return answer


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
        "pydantic",
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
