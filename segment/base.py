"""What a segmenter is, its settings, and how one is found by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Protocol, TypeVar

from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.frames import BoolImage, Frame
from insitrack.io.manifest import file_sha256

Tag = TypeVar("Tag")

SEGMENTERS: dict[str, str] = {
    "yolo-seg": "insitrack.segment.networks.yolo:YoloSegmenter",
    "torchvision": "insitrack.segment.networks.maskrcnn:TorchvisionSegmenter",
    "semantic": "insitrack.segment.networks.semantic:SemanticSegmenter",
}
"""Class that runs each kind of network, by the `kind` of its card; imported when it is asked for, made
with (ModelCard, SegmentConfig)."""
CHECKPOINT_PREFIX = "maskrcnn:"


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentConfig:
    """Settings of the segmenter.

    Parameters
    ----------
    classes : tuple of str
        Classes that are looked for, all others are left out; empty: all that the model knows.
    confidence : float
        Detections with a lower score are dropped, 0..1.
    overlap_iou : float
        Of two detections whose boxes overlap by more than this, the weaker is dropped, 0..1.
    min_area_px : int
        Masks with fewer pixels are dropped.
    max_detections : int
        Cap on the detections in a frame; how many it threw away is reported.
    scale : float or "auto"
        Pixels of the picture that the network sees per pixel of the frame; `auto` shrinks frames that are
        magnified beyond their resolution.
    contrast : str
        `dark`: defects are mostly dark on bright; `bright`: the reverse; `auto` finds out.
    levels : "auto", "run", "frame" or (float, float)
        Which grey levels the network sees as black and white: fixed over the run, from frames spread over it,
        or by each frame; `auto` is `frame` for 8 bits and `run` for more; two numbers fix them.
    tile_px : int
        Longest side of the tiles that large frames are cut into, px of what the network sees; 0 decides from
        the size of the frame.
    runtime : str
        `auto`, `openvino` or `onnxruntime`.
    precision : str
        `auto` lets the runtime choose what the processor does fastest, `f32` forces 32-bit floats.
    threads : int
        Processor threads of the network; 0 takes all cores.
    """

    classes: tuple[str, ...] = ()
    confidence: float = 0.15
    overlap_iou: float = 0.5
    min_area_px: int = 12
    max_detections: int = 20_000
    scale: float | str = "auto"
    contrast: str = "auto"
    levels: str | tuple[float, ...] = "auto"
    tile_px: int = 0
    runtime: str = "auto"
    precision: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in DEFECT_CLASSES:
                raise SettingsError(
                    f"segment.classes: {name!r} is no class; expected some of {', '.join(DEFECT_CLASSES)}"
                )
        for name in ("confidence", "overlap_iou"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise SettingsError(f"segment.{name} = {value}: expected a number between 0 and 1")
        for name, least in (("min_area_px", 1), ("max_detections", 1), ("threads", 0)):
            if getattr(self, name) < least:
                raise SettingsError(
                    f"segment.{name} = {getattr(self, name)}: expected a whole number of at least {least}"
                )
        if self.scale != "auto" and (isinstance(self.scale, str) or not 0.05 <= self.scale <= 8.0):
            raise SettingsError(
                f"segment.scale = {self.scale!r}: expected auto, or a number from 0.05 to 8, like 0.5 to show"
                " the network half the size"
            )
        rising = (
            not isinstance(self.levels, str)
            and len(self.levels) == 2
            and 0 <= self.levels[0] < self.levels[1] <= 65535
        )
        if self.levels not in ("auto", "run", "frame") and not rising:
            raise SettingsError(
                f"segment.levels = {self.levels!r}: expected auto, run, frame, or two grey levels, like [900,"
                " 7200]"
            )
        if self.tile_px and self.tile_px < 256:
            raise SettingsError(
                f"segment.tile_px = {self.tile_px}: expected 0 for automatic, or at least 256"
            )
        for name, known in (
            ("contrast", ("auto", "dark", "bright")),
            ("runtime", ("auto", "openvino", "onnxruntime")),
            ("precision", ("auto", "f32")),
        ):
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"segment.{name} = {getattr(self, name)!r}: expected one of {', '.join(known)}"
                )


def looked_for(known: tuple[str, ...], config: SegmentConfig) -> tuple[str, ...]:
    """Classes of a model that the settings ask for, in the order of the model.

    Raises
    ------
    SettingsError
        If the model does not know one of them.
    """
    missing = [name for name in config.classes if name not in known]
    if missing:
        raise SettingsError(
            f"segment.classes: this model does not know {missing[0]}; expected some of {', '.join(known)}"
        )
    return tuple(name for name in known if not config.classes or name in config.classes)


class Segmenter(Protocol):
    """Finds the defects of a frame. `stream` gives the same answers while decoding.

    Network and the rest overlap.
    """

    class_names: tuple[str, ...]

    def __call__(self, frame: Frame, field: BoolImage | None = None) -> Detections:
        """Return what is in the frame; nothing is looked for where `field` is False."""
        ...

    def stream(
        self, items: Iterable[tuple[Frame | None, BoolImage | None, Tag]]
    ) -> Iterator[tuple[Detections | None, Tag]]:
        """Run over many frames in order; an item without a frame passes through as None."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: name, file, hash, classes, runtime."""
        ...


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a trained network; the JSON file beside its weights.

    Parameters
    ----------
    name : str
        Short name, as given to `--model`.
    weights : Path
        The exported network, ONNX, or a torchvision checkpoint.
    sha256 : str
        Hash of that file.
    classes : tuple of str
        Class names in the order of the network's outputs, all of them in `DEFECT_CLASSES`.
    facts : dict
        The whole card: training data, recipe, seed, metrics, known failures.
    """

    name: str
    weights: Path
    sha256: str
    classes: tuple[str, ...]
    facts: dict[str, Any]


def shipped_models() -> dict[str, Path]:
    """Cards of the models that come with the package, by name."""
    folder = Path(str(resources.files("insitrack.segment") / "weights"))
    return {card.stem: card for card in sorted(folder.glob("*.json"))}


def find_model(name: str) -> ModelCard:
    """Find a shipped model by name, or a model of one's own.

    Parameters
    ----------
    name : str
        A shipped model's name, the path of an `.onnx` file or its card, or `maskrcnn:` and the path of a
        torchvision checkpoint with its TOML file beside it.

    Raises
    ------
    ModelError
        If there is no such model, its card is missing or broken, or the weights are not those that the card
        describes.
    """
    if name.startswith(CHECKPOINT_PREFIX):
        from insitrack.segment.networks.maskrcnn import checkpoint_card

        model, card = checkpoint_card(Path(name.removeprefix(CHECKPOINT_PREFIX)))
    else:
        model, card = _read_card(name)
    wrong = [
        cls for i, cls in enumerate(model.classes) if cls not in DEFECT_CLASSES or cls in model.classes[:i]
    ]
    if wrong or not model.classes:
        raise ModelError(
            f"{card}: unknown or repeated class {wrong[:1] or '(none)'}; expected some of"
            f" {', '.join(DEFECT_CLASSES)}"
        )
    if not model.weights.is_file():
        raise ModelError(
            f"{model.weights}: the weights that {card.name} names are missing; put the file there or train"
            " again"
        )
    found = file_sha256(model.weights)
    if found != model.sha256:
        raise ModelError(
            f"{model.weights}: SHA-256 {found[:12]}... is not the {model.sha256[:12]}... of its card; the"
            " file is damaged or was exchanged"
        )
    return model


def _read_card(name: str) -> tuple[ModelCard, Path]:
    """Read the JSON card of a shipped model or of one's own."""
    shipped = shipped_models()
    card = shipped.get(name) or (Path(name).with_suffix(".json") if Path(name).name else Path(name))
    if not card.is_file():
        known = ", ".join(shipped) or "(none shipped)"
        raise ModelError(
            f"--model {name}: no such model; expected one of {known}, the path of an .onnx file with its"
            f" .json card beside it, or {CHECKPOINT_PREFIX}checkpoint.pt"
        )
    try:
        facts = json.loads(card.read_text(encoding="utf-8"))
        return (
            ModelCard(
                facts["name"], card.with_name(facts["file"]), facts["sha256"], tuple(facts["classes"]), facts
            ),
            card,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{card}: not a model card ({error!r}); expected JSON with name, file, sha256 and classes"
        ) from error


def load_segmenter(name: str = "loops", config: SegmentConfig | None = None) -> Segmenter:
    """Load a segmenter by the name of a shipped model or the path of one's own.

    Raises
    ------
    ModelError
        If the model is missing, unreadable or of an unknown kind.
    """
    model = find_model(name)
    kind = model.facts.get("kind", "yolo-seg")
    if kind not in SEGMENTERS:
        raise ModelError(
            f"{model.name}: network kind {kind!r} is not known; expected one of {', '.join(SEGMENTERS)}"
        )
    module, class_name = SEGMENTERS[kind].split(":")
    segmenter: Segmenter = getattr(import_module(module), class_name)(model, config or SegmentConfig())
    return segmenter
