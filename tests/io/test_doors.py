"""What the floor and its wings hand out under their own names."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOORS = [
    "insitrack",
    *(f"insitrack.io{wing}" for wing in ("", ".draw", ".files", ".live", ".report", ".synth", ".tables")),
    *(
        f"insitrack.segment{wing}"
        for wing in ("", ".finetune", ".labels", ".lines", ".networks", ".prepare", ".scores", ".training")
    ),
]


def typed_names(door):
    """Names that a type checker finds in the door, with the modules they come from."""
    path = Path(importlib.import_module(door).__file__)
    block = next(node for node in ast.parse(path.read_text()).body if isinstance(node, ast.If))
    return {alias.asname: node.module for node in block.body for alias in node.names}


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_is_listed_loads_and_is_what_a_type_checker_sees(door):
    package, typed = importlib.import_module(door), typed_names(door)
    assert set(dir(package)) == set(package.__all__) == set(typed) | ({"__version__"} & set(dir(package)))
    for name, module in typed.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_a_door_does_not_have_is_an_attribute_error(door):
    with pytest.raises(AttributeError, match="Loops"):
        importlib.import_module(door).Loops  # noqa: B018


def test_a_door_that_is_only_opened_loads_nothing_heavy():
    code = (
        f"import sys\nfor door in {DOORS!r}: dir(__import__(door, fromlist=['x']))\n"
        "print([name for name in ('numpy', 'cv2', 'av', 'pandas', 'pyarrow', 'plotly') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent).stdout
    assert printed.strip() == "[]"
