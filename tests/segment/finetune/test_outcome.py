"""A training never gives a model that is worse than its start, and says what the scores of the new one mean."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insitrack.io.detections import Detections
from insitrack.segment.labels.fill import filled
from insitrack.segment.labels.outlines import Drawn, ellipse_points
from insitrack.segment.labels.reader import LabelledPicture
from insitrack.segment.prepare.find_view import ViewFinder

torch = pytest.importorskip("torch", reason="needs the extra train")
from insitrack.segment.finetune import finetune, label_view, outcome  # noqa: E402
from insitrack.segment.finetune.starting_point import Base  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.03, 0.95), st.booleans()), max_size=40), st.floats(0.06, 0.5))
def test_right_finds_lower_the_even_score_and_wrong_ones_raise_it(finds, prior):
    score = np.array([one for one, _ in finds])
    right = np.array([good for _, good in finds], bool)
    here = outcome.even_score(score, right, prior, 1.2)
    assert 0.029 < here < 0.81
    more = np.append(score, prior)
    assert outcome.even_score(more, np.append(right, True), prior, 1.2) <= here + 1e-3
    assert outcome.even_score(more, np.append(right, False), prior, 1.2) >= here - 1e-3


def test_worse_is_judged_by_both_overlaps_and_nothing_found_is_no_score():
    empty = {"iou_0.3": {"f1": float("nan")}, "iou_0.5": {"f1": float("nan")}}
    some = {"iou_0.3": {"f1": 0.1}, "iou_0.5": {"f1": 0.0}}
    assert outcome.is_worse(some, empty)
    assert not outcome.is_worse(empty, some)


def pictures(radius: float, grey: int) -> list[LabelledPicture]:
    out = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        drawn = [
            Drawn("loop", (ellipse_points((x, y), (radius, radius)),))
            for x in (60.0, 160.0)
            for y in (50.0, 150.0)
        ]
        truth, outlined = filled(drawn, (200, 240))
        image = np.full((200, 240), 120, np.uint8) + rng.integers(0, 20, (200, 240)).astype(np.uint8)
        image[truth.masks.dense((200, 240)).any(axis=0)] = grey
        out.append(LabelledPicture(f"p{seed}", "p", image, truth, outlined))
    return out


class FindsAt:
    """A base that finds every label, at one scale only."""

    def __init__(self, good, truths):
        self.good, self.truths = good, truths

    def segmenter(self, config):
        def segment(frame, field):
            truth = next(one for image, one in self.truths if image is frame.image)
            return truth if config.scale == self.good else truth.take(np.zeros(0, np.int64))

        return segment


@pytest.mark.parametrize(("scale", "grey"), [(0.5, 20), (0.35, 250)])
def test_the_view_is_the_one_at_which_the_labels_are_found(scale, grey):
    shown = pictures(26.0, grey)
    base = FindsAt(scale, [(one.image, one.truth) for one in shown])
    view = label_view.view_of_labels(base, shown, "auto", "auto")
    assert (view.scale, view.inverted) == (scale, grey > 120)
    assert label_view.view_of_labels(base, shown, 0.25, "dark").scale == 0.25


def test_the_scale_of_the_training_gives_way_only_to_one_that_is_twice_as_sure():
    def verdict(usual, sure):
        finder = ViewFinder(usual=usual)
        empty = filled([], (40, 40))[0]
        for scale, cubes in sure.items():
            masks = filled([Drawn("loop", box=(5.0, 5.0, 20.0, 20.0))], (40, 40))[0]
            score = np.array([cubes ** (1 / 3)], np.float32)
            found = Detections(
                0, 0.0, (40, 40), masks.boxes, masks.labels, score, masks.masks, masks.class_names
            )
            finder.weigh(np.zeros((40, 40), np.uint8), {scale: found if cubes else empty})
        return finder.view.scale

    assert verdict(None, {1.0: 0.4, 0.5: 0.6}) == 0.5
    assert verdict(1.0, {1.0: 0.4, 0.5: 0.6}) == 1.0
    assert verdict(0.5, {1.0: 0.7, 0.5: 0.4}) == 0.5
    assert verdict(0.5, {1.0: 0.95, 0.5: 0.4}) == 1.0


def test_a_training_that_made_it_worse_gives_the_weights_of_its_start(tmp_path, monkeypatch):
    from insitrack.segment.training.export import checkpoint_of, load_checkpoint, save_checkpoint
    from insitrack.segment.training.yolo import SLIM_NETWORK, Bf16SegmentationModel

    def net(seed):
        torch.manual_seed(seed)
        model = Bf16SegmentationModel(str(SLIM_NETWORK), nc=1, ch=3, verbose=False)
        model.names = {0: "loop"}
        return checkpoint_of(model)

    job = object.__new__(finetune._Job)
    job.folder, job.name, job.warnings, job._held = tmp_path, "set", [], []
    job.chosen = finetune.FinetuneSettings(threads=1)
    job.settings = job.chosen.training(10, False)
    job.base = Base("steel", net(1), {"mask_logit": 0.25, "usual_scale": 0.71})
    job._facts = lambda: {"about": "new"}
    job.labels = type("L", (), {"source": tmp_path})()
    (tmp_path / "run" / "weights").mkdir(parents=True)
    save_checkpoint(net(2), tmp_path / "run" / "weights" / "best.pt")
    f1 = iter([0.5, 0.4])
    monkeypatch.setattr(finetune, "evaluate", lambda *_: {"iou_0.3": {"f1": next(f1)}})
    done = job.finish()
    assert done.kept_start
    assert "worse than its start" in done.warnings[0]
    kept = load_checkpoint(tmp_path / "set.pt").state
    assert all(
        torch.equal(value.half().float(), kept[key].float())
        for key, value in job.base.checkpoint.state.items()
        if value.is_floating_point()
    )
    card = json.loads((tmp_path / "set.json").read_text(encoding="utf-8"))
    assert (card["kept_start"], card["usual_scale"], card["mask_logit"]) == (True, 0.71, 0.25)
    assert "unchanged" in card["about"]
