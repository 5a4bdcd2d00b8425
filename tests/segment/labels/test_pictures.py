"""Images that belong together."""

from pathlib import Path

from insitrack.segment.labels.pictures import group_of


def test_frames_of_one_movie_are_one_group() -> None:
    root = Path("data")
    names = [
        "images/fe_0001.png",
        "images/fe_0002 - Copy.png",
        "images/fe_0003 (2).png",
        "w_01.png",
        "run2/01.png",
    ]
    assert [group_of(root / name, root) for name in names] == ["fe", "fe", "fe", "w", "run2/"]
