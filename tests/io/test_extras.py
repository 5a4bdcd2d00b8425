import subprocess
import sys
from pathlib import Path

import pytest

from insitrack.io.errors import InsitrackError
from insitrack.io.extras import require, require_training
from insitrack.tracker.cli import main


@pytest.mark.parametrize("absent", ["torch", "onnx", "onnxslim", "ultralytics"])
def test_training_without_its_extra_is_refused_in_one_line_before_anything_is_read(
    absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "no_such_folder"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert absent in said
    assert 'pip install "insitrack[train]"' in said
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_torchvision_without_its_extra_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").write_bytes(b"weights")
    (tmp_path / "net.toml").write_text('classes = ["loop"]', encoding="utf-8")
    assert main(["synth:loops?seed=1&frames=2&size=128", "--model", "maskrcnn:net.pt"]) == 2
    assert 'pip install "insitrack[train]"' in capsys.readouterr().err


def test_asking_for_a_package_does_not_import_it() -> None:
    code = (
        "import sys; from insitrack.io.extras import require_training; require_training('x'); "
        "print([name for name in ('torch', 'onnx', 'ultralytics') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_all_that_is_missing_is_named_and_it_is_both_kinds_of_error() -> None:
    with pytest.raises(InsitrackError, match="needs absent_a, absent_b; install them") as caught:
        require("gpu", "numpy", "absent_a", "absent_b", purpose="this")
    assert isinstance(caught.value, ImportError)
    require_training("track train")
