"""Segmenters by name: the shipped models, one of your own, a torchvision checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module, resources
from pathlib import Path

from insitrack.io.detections import DEFECT_CLASSES
from insitrack.io.errors import ModelError, SettingsError
from insitrack.io.manifest import file_sha256
from insitrack.segment.base import SegmentConfig, Segmenter
from insitrack.segment.card import ModelCard
from insitrack.segment.combined import PLUS, Combined
from insitrack.segment.given import from_package, registered
from insitrack.segment.untyped import WithUntyped

SEGMENTERS: dict[str, str] = {
    "yolo-seg": "insitrack.segment.networks.yolo:YoloSegmenter",
    "torchvision": "insitrack.segment.networks.maskrcnn:TorchvisionSegmenter",
    "semantic": "insitrack.segment.networks.semantic:SemanticSegmenter",
}
"""Class that runs each kind of network, by the `kind` of its card; imported when it is asked for, made
with (ModelCard, SegmentConfig)."""
CLASS_PROBABILITIES = ("yolo-seg",)
"""Kinds that give the probability of each class."""
CHECKPOINT_PREFIX = "maskrcnn:"


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
        from insitrack.segment.networks.checkpoint import checkpoint_card

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
        known = ", ".join((*shipped, *registered())) or "(none shipped)"
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
    """Load a segmenter by the name of a shipped model, or of one that a package has registered, or by a path.

    Two names with a plus between them run both networks on each frame, as ``loops+lines``: the second gives the
    classes that the first does not know. What gives probabilities of several classes names `defect` what has none
    of the least probability.

    Raises
    ------
    ModelError
        If the model is missing, unreadable or of an unknown kind, or two do not go together.
    SettingsError
        If a class is asked for that it does not know.
    """
    config = config or SegmentConfig()
    names = name.split(PLUS)
    if name not in shipped_models() and (entry := registered().get(name)):
        return from_package(entry, config)
    if len(names) == 1 or Path(name).with_suffix(".json").is_file():
        return _load(find_model(name), config)
    if len(names) > 2 or not all(names):
        raise ModelError(f"--model {name}: expected two models with a plus between them, like loops+lines")
    models = find_model(names[0]), find_model(names[1])
    known = [model.classes for model in models]
    added = tuple(one for one in known[1] if one not in known[0])
    if not added:
        raise ModelError(
            f"--model {name}: {names[1]} knows no class that {names[0]} does not know; give one of them alone, or"
            " loops+lines"
        )
    unknown = [one for one in config.classes if one not in (*known[0], *added)]
    if unknown:
        raise SettingsError(
            f"segment.classes: {name} does not know {unknown[0]}; expected some of {', '.join((*known[0], *added))}"
        )
    wanted = [
        tuple(one for one in some if not config.classes or one in config.classes)
        for some in (known[0], added)
    ]
    for one, other, some in zip(names, names[::-1], wanted, strict=True):
        if not some:
            raise SettingsError(
                f"segment.classes: leaves nothing for {one} to look for; give --model {other}, or more classes"
            )
    first, second = (
        _load(model, replace(config, classes=some)) for model, some in zip(models, wanted, strict=True)
    )
    return Combined(first, second)


def _load(model: ModelCard, config: SegmentConfig) -> Segmenter:
    kind = model.facts.get("kind", "yolo-seg")
    if kind not in SEGMENTERS:
        raise ModelError(
            f"{model.name}: network kind {kind!r} is not known; expected one of {', '.join(SEGMENTERS)}"
        )
    module, class_name = SEGMENTERS[kind].split(":")
    segmenter: Segmenter = getattr(import_module(module), class_name)(model, config)
    # a network with probabilities of several classes can say that it cannot tell
    typed = kind in CLASS_PROBABILITIES and config.least_class > 0 and len(segmenter.class_names) > 1
    return WithUntyped(segmenter, config.least_class) if typed else segmenter
