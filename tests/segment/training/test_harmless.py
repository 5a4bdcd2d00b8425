"""A checkpoint from a stranger runs nothing, builds nothing larger than itself, and is refused in one line."""

import copy
import warnings
import zipfile
from pathlib import Path

import pytest

from insitrack.io.errors import ModelError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    export = pytest.importorskip("insitrack.segment.training.export")
    yolo = pytest.importorskip("insitrack.segment.training.yolo")
    from insitrack.segment.finetune.starting_point import find_base

pytestmark = pytest.mark.filterwarnings("ignore")
FORM = "insitrack checkpoint 1"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return yolo.Bf16SegmentationModel(str(yolo.SLIM_NETWORK), nc=2, ch=3, verbose=False)


@pytest.fixture
def stored(network) -> dict:
    """What `save_checkpoint` writes, to be spoilt."""
    good = export.checkpoint_of(network)
    state = {key: value.half() if value.is_floating_point() else value for key, value in good.state.items()}
    return {
        "form": FORM,
        "architecture": copy.deepcopy(good.architecture),
        "classes": ["loop", "void"],
        "state": state,
    }


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        find_base(str(path))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize("form", ["ours", "pickled by ultralytics", "to be resumed"])
def test_an_activation_that_is_code_is_not_run(tmp_path: Path, stored, network, form: str) -> None:
    mark = tmp_path / "was_run"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch() or torch.nn.SiLU()"
    path = tmp_path / "run" / "weights" / "last.pt"
    path.parent.mkdir(parents=True)
    if form == "ours":
        stored["architecture"]["activation"] = code
        torch.save(stored, path)
    else:
        hostile = copy.deepcopy(network)
        hostile.yaml["activation"] = code
        torch.save({"ema": hostile, "model": None}, path)
    if form == "to be resumed":
        with pytest.raises(ModelError, match="activation"):
            yolo.train(tmp_path / "data.yaml", tmp_path / "run", resume=True)
    else:
        assert "activation" in refused(path)
    assert not mark.exists()


def spoil_module(stored) -> None:
    stored["architecture"]["backbone"][0][2] = "torchvision.ops.StochasticDepth"


def spoil_download(stored) -> None:
    stored["architecture"]["backbone"][0][2:] = ["TorchVision", [64, "resnet18", "DEFAULT"]]


def spoil_word(stored) -> None:
    stored["architecture"]["head"][0][3] = ["None", 2, "__import__('os')"]


def spoil_size(stored) -> None:
    stored["architecture"]["backbone"][1][3] = [8192, 8192, 1]


def spoil_repeats(stored) -> None:
    stored["architecture"]["backbone"][2][1] = 10**9


def spoil_upsampling(stored) -> None:
    stored["architecture"]["head"][0][3] = ["None", 4096, "nearest"]


def spoil_width(stored) -> None:
    stored["architecture"]["scales"]["slim"][1] = 3.9


def spoil_classes(stored) -> None:
    stored["classes"] = ["loop"] * 10**5


def spoil_source(stored) -> None:
    stored["architecture"]["head"][1][0] = [-1, 400]


def spoil_key(stored) -> None:
    stored["architecture"]["__class__"] = "x"


def spoil_layers(stored) -> None:
    stored["architecture"]["backbone"] *= 50


def spoil_type(stored) -> None:
    stored["architecture"] = [stored["architecture"]]


def spoil_tensor(stored) -> None:
    """Four bytes that claim to be 40 GB."""
    stored["state"]["model.0.conv.weight"] = torch.zeros(1).expand(100_000, 100_000)


def spoil_shape(stored) -> None:
    stored["state"]["model.0.conv.weight"] = torch.zeros(8, 3, 3, 3)


def spoil_names(stored) -> None:
    stored["state"]["model.99.weight"] = torch.zeros(3)


@pytest.mark.parametrize("spoil", [value for name, value in globals().items() if name.startswith("spoil_")])
def test_an_architecture_that_no_network_has_is_refused_in_one_line(tmp_path: Path, stored, spoil) -> None:
    spoil(stored)
    torch.save(stored, tmp_path / "hostile.pt")
    refused(tmp_path / "hostile.pt")


def test_a_function_of_a_library_is_not_a_part_of_a_network(tmp_path: Path) -> None:
    from ultralytics.nn.modules import block

    torch.save({"model": block.TorchVision}, tmp_path / "class.pt")
    assert "TorchVision" in refused(tmp_path / "class.pt")
    torch.save(
        {"model": torch.nn.modules.utils.consume_prefix_in_state_dict_if_present}, tmp_path / "function.pt"
    )
    assert "consume_prefix" in refused(tmp_path / "function.pt")


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path: Path, stored) -> None:
    torch.save(stored, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as source,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    assert "compressed" in refused(tmp_path / "bomb.pt")


def test_an_honest_checkpoint_is_read_whole_in_either_form(tmp_path: Path, stored, network) -> None:
    torch.save(stored, tmp_path / "ours.pt")
    torch.save({"ema": network, "model": None}, tmp_path / "theirs.pt")
    for name in ("ours.pt", "theirs.pt"):
        read = export.load_checkpoint(tmp_path / name)
        assert read.state.keys() == network.state_dict().keys()
        assert read.network().model[-1].nc == 2


def test_the_shipped_checkpoint_is_honest() -> None:
    assert find_base("loops").checkpoint.classes[0] == "black_dot"
