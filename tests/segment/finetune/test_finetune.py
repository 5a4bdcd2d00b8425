"""`track train` from its parts to a whole tiny training."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import DEFECT_CLASSES, Detections
from insitrack.io.errors import ModelError, OutputError, SettingsError
from insitrack.io.frames import Frame
from insitrack.segment.finetune.begin import TRAINING_RECORD, as_it_was
from insitrack.segment.finetune.boxes import outline_boxes
from insitrack.segment.finetune.data import copies_for, not_too_small, seen, write_tiles
from insitrack.segment.finetune.settings import FinetuneSettings
from insitrack.segment.finetune.split import split_groups
from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.outlines import Drawn, Sheet, ellipse_points
from insitrack.segment.labels.reader import LabelledPicture, Labels, read_labelled
from insitrack.segment.prepare.view import View
from insitrack.tracker.cli import main

pytest.importorskip("onnx")
pytest.importorskip("onnxslim")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")
    from insitrack.segment.finetune import finetune, starting_point
    from insitrack.segment.training import export, yolo

pytestmark = pytest.mark.filterwarnings("ignore")
CLASSES = ("black_dot", "loop", "void")


def listed(groups: list[str]) -> Labels:
    """Labels of images that need not exist."""
    sheets = tuple(
        Sheet(Path("a"), Path(f"{i}.png"), frozenset(), lambda shape: []) for i in range(len(groups))
    )
    return Labels(Path("set"), "rows", sheets, tuple(f"p{i}" for i in range(len(groups))), tuple(groups), {})


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=30),
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 5),
)
def test_a_movie_is_never_both_trained_on_and_judged_by(groups: list[str], share: float, seed: int) -> None:
    split = split_groups(listed(groups), share=share, seed=seed)
    assert sorted((*split.train, *split.val)) == list(range(len(groups)))
    assert split.train
    assert split.val
    both = {groups[i] for i in split.train} & {groups[i] for i in split.val}
    assert both == set() if len(set(groups)) > 1 else split.warning


def test_pictures_and_series_are_held_out_by_name() -> None:
    labels = listed(["steel", "steel", "iron"])
    assert split_groups(labels, ["ir*"]).val == (2,)
    assert split_groups(labels, ["p0", "iron"]).val == (0, 2)
    with pytest.raises(SettingsError, match="takes 0 of 3"):
        split_groups(labels, ["copper"])
    with pytest.raises(SettingsError, match="expected at least two"):
        split_groups(listed(["steel"]))


def discs(shape: tuple[int, int] = (120, 160)) -> LabelledPicture:
    """Dark discs on grey, labelled."""
    drawn = [
        Drawn("loop", (ellipse_points(centre, (8.0, 8.0)),))
        for centre in ((30.0, 40.0), (100.0, 70.0), (140.0, 20.0))
    ]
    truth, outlined = filled(drawn, shape)
    image = np.full(shape, 160, np.uint8)
    image[truth.masks.dense(shape).any(axis=0)] = 60
    image = cv2.GaussianBlur(image, (0, 0), 1) + np.random.default_rng(0).integers(0, 20, shape).astype(
        np.uint8
    )
    return LabelledPicture("a", "a", image, truth, outlined)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_labels_scale_with_what_the_network_sees(scale: float) -> None:
    picture = discs()
    image, truth = seen(picture, picture.truth, View(scale, inverted=True))
    assert image.shape == (int(120 * scale), int(160 * scale))
    np.testing.assert_allclose(truth.masks.area_px(), picture.truth.masks.area_px() * scale**2, rtol=0.12)
    inside = truth.masks.dense(truth.shape).any(axis=0)
    assert image[inside].mean() > image[~inside].mean()


def test_small_labels_are_not_shrunk_away() -> None:
    truth = discs().truth  # 16 px wide
    assert not_too_small(0.25, [truth]) == 0.5
    assert not_too_small(0.71, [truth]) == 0.71
    assert not_too_small(0.25, [filled([], (50, 50))[0]]) == 0.25


def test_tiles_hold_every_defect_and_are_never_magnified(tmp_path: Path) -> None:
    picture = discs()
    small = ("b", picture.image[:50, :60].copy(), filled([], (50, 60))[0])
    n = write_tiles(tmp_path, "train", [("a", picture.image, picture.truth), small], CLASSES, 96, copies=2)
    written = sorted((tmp_path / "images" / "train").iterdir())
    assert len(written) == n
    assert {cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape for path in written} == {(96, 96)}
    lines = [
        line
        for path in (tmp_path / "labels" / "train").iterdir()
        for line in path.read_text(encoding="utf-8").split("\n")
        if line
    ]
    assert len(lines) >= 3
    assert {line.split()[0] for line in lines} == {"1"}
    assert copies_for([("a", picture.image, picture.truth)], 96) == 12


def test_a_box_gets_the_outline_of_what_is_in_it() -> None:
    picture = discs()
    boxes = [Drawn("loop", box=tuple(box)) for box in np.add(picture.truth.boxes, [-1, -2, 2, 1]).tolist()]
    truth, outlined = filled(boxes, picture.image.shape)
    by_threshold = outline_boxes(picture.frame, truth, outlined, None)
    assert (np.diag(by_threshold.masks.iou(picture.truth.masks)) > 0.75).all()

    def model(frame: Frame, field: object) -> Detections:
        return picture.truth.take(np.array([2, 0]))

    by_model = outline_boxes(picture.frame, truth, outlined, model)
    np.testing.assert_array_equal(np.diag(by_model.masks.iou(picture.truth.masks))[[0, 2]], [1, 1])


def test_a_box_in_which_nothing_is_seen_gets_the_ellipse_that_fits() -> None:
    truth, outlined = filled([Drawn("void", box=(10, 10, 30, 22))], (50, 60))
    found = outline_boxes(Frame(0, 0.0, np.full((50, 60), 90, np.uint8)), truth, outlined, None)
    assert found.masks.area_px()[0] == pytest.approx(np.pi / 4 * 20 * 12, rel=0.03)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of an untrained network."""
    torch.manual_seed(0)
    model = yolo.Bf16SegmentationModel(str(yolo.SLIM_NETWORK), nc=len(CLASSES), ch=3, verbose=False)
    model.names = dict(enumerate(CLASSES))
    return export.save_checkpoint(export.checkpoint_of(model), tmp_path_factory.mktemp("base") / "base.pt")


def test_a_checkpoint_opens_without_running_code_and_holds_the_same_weights(
    base: Path, tmp_path: Path
) -> None:
    stored = torch.load(base, weights_only=True)
    read = export.load_checkpoint(base)
    assert read.classes == CLASSES
    assert read.sha256
    assert all(
        torch.equal(read.state[key], value.float() if value.is_floating_point() else value)
        for key, value in stored["state"].items()
    )
    torch.save({"ema": read.network(), "train_args": {"batch": 8}}, tmp_path / "pickled.pt")
    again = export.load_checkpoint(tmp_path / "pickled.pt")
    assert again.classes == CLASSES
    assert all(torch.equal(again.state[key], value) for key, value in read.state.items())


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this ran",)


def test_a_checkpoint_that_would_run_something_is_not_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": Harmful()}, tmp_path / "bad.pt")
    with pytest.raises(ModelError, match=r"would run .*print.*not opened"):
        export.load_checkpoint(tmp_path / "bad.pt")
    assert capsys.readouterr().out == ""
    (tmp_path / "text.pt").write_text("no weights", encoding="utf-8")
    with pytest.raises(ModelError, match="not a checkpoint"):
        export.load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="no YOLO-seg network"):
        export.load_checkpoint(tmp_path / "other.pt")


def test_a_base_is_a_shipped_model_a_file_or_nothing(base: Path) -> None:
    assert starting_point.find_base(str(base)).classes == CLASSES
    assert starting_point.find_base("loops").checkpoint is not None
    assert starting_point.find_base("scratch").checkpoint is None
    with pytest.raises(ModelError, match=r"expected one of .*loops.*scratch"):
        starting_point.find_base("unheard-of")


def test_the_synthetic_pictures_have_the_share_that_was_asked_for() -> None:
    paths = ["/d/images/train/a.png"] * 3 + ["/d/synth/images/train/b.png"] * 40
    weights = np.array(yolo._weights(paths, 0.25))
    assert weights[3:].sum() == pytest.approx(0.25 * weights.sum())
    assert min(yolo._weights(paths[:3], 0.25)) > 0


def write_set(folder: Path) -> Path:
    folder.mkdir()
    picture = discs()
    for name in ("a_1", "b_1"):
        cv2.imwrite(str(folder / f"{name}.png"), picture.image)
        boxes = "\n".join(" ".join(str(value) for value in box[[1, 0, 3, 2]]) for box in picture.truth.boxes)
        (folder / f"{name}.txt").write_text(boxes, encoding="utf-8")
    return folder


def test_a_training_ends_with_a_model_its_card_and_a_picture_of_each_epoch(
    base: Path, tmp_path: Path
) -> None:
    data, out = write_set(tmp_path / "set"), tmp_path / "out"
    chosen = finetune.FinetuneSettings(
        base=str(base),
        epochs=1,
        image_px=64,
        batch=4,
        pictures_per_epoch=8,
        synthetic_pictures=2,
        threads=1,
        scale=1.0,
        contrast="dark",
    )
    lines: list[str] = []
    done = finetune.finetune(data, out, chosen, classes={"defect": "void"}, say=lines.append)
    assert done.model == out / "set.onnx"
    assert done.after["iou_0.3"]["n_true"] == 3
    assert set(done.before) == set(done.after)
    card = json.loads((out / "set.json").read_text(encoding="utf-8"))
    assert card["classes"] == list(CLASSES)
    assert card["base"]["sha256"] == export.load_checkpoint(base).sha256
    assert set(card["metrics"]["set, held out"]) == {f"before ({base})", "after"}
    assert card["labels"]["held_out"] in (["a_1"], ["b_1"])
    assert cv2.imread(str(out / "epochs" / "epoch_001.png")).shape[2] == 3
    assert len((out / "epochs.csv").read_text(encoding="utf-8").splitlines()) == 2
    assert export.load_checkpoint(out / "set.pt").classes == CLASSES
    assert any(base.name in line and card["base"]["sha256"] in line for line in lines)
    moved = export.load_checkpoint(out / "set.pt").state
    assert any(
        not torch.equal(value, export.load_checkpoint(base).state[key]) for key, value in moved.items()
    )
    with pytest.raises(ModelError, match="finished"):
        finetune.finetune(data, out, chosen, resume=True, say=lines.append)
    with pytest.raises(OutputError, match="--resume"):
        finetune.finetune(data, out, chosen, classes={"defect": "void"}, say=lines.append)
    with pytest.raises(OutputError, match="was trained on"):
        finetune.finetune(tmp_path, out, chosen, resume=True, say=lines.append)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["name no classes", "--classes 'defect=loop'"]),
        (["--classes", "defect=dislocation"], ["dislocation", "knows"]),
        (["--classes", "defect=loop", "--base", "unheard-of"], ["unheard-of", "loops"]),
        (["--classes", "defect=loop", "--val", "x*"], ["--val x*", "a_1"]),
        (["--classes", "defect=loop", "--synth-share", "1"], ["--synth-share 1"]),
        (["--classes", "defect=loop", "--scale", "half"], ["--scale half"]),
        (["--classes", "defect=loop", "--image-px", "100"], ["--image-px 100"]),
        (["--classes", "defect=loop", "--resume"], ["no training to go on with"]),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(
    options: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "set")
    assert main(["train", str(data), "--out", str(tmp_path / "out"), *options]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert all(word in last for word in words), last
    assert not (tmp_path / "out").exists()


def test_labels_of_boxes_are_read_as_such(tmp_path: Path) -> None:
    labels = read_labelled(write_set(tmp_path / "set"), {"defect": "loop"})
    assert [one.outlined.any() for one in labels] == [False, False]
    assert DEFECT_CLASSES[next(iter(labels.chosen([1]))).truth.labels[0] - 1] == "loop"


@pytest.mark.parametrize("base", ["loops", "lines"])
def test_labels_that_cannot_be_used_are_refused_before_any_network_library_is_loaded(
    base: str, tmp_path: Path
) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.json").write_text("[" * 100_000, encoding="utf-8")
    arguments = ["train", str(tmp_path / "labels"), "--base", base, "--out", str(tmp_path / "out")]
    code = (
        f"import sys\nfrom insitrack.tracker.cli import main\nassert main({arguments!r}) == 2\n"
        "print([name for name in ('torch', 'torchvision', 'ultralytics') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", '{"data": 1, "classes": [], "settings": {}}', "\xff"])
def test_settings_of_a_training_that_cannot_be_read_are_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / TRAINING_RECORD).write_text(text, encoding="latin-1")
    with pytest.raises(OutputError, match=f"{TRAINING_RECORD}: cannot be read"):
        as_it_was(tmp_path / TRAINING_RECORD, tmp_path, FinetuneSettings())
