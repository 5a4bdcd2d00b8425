"""The catalogue: every run below a folder is found, what has not changed is not read again, a question only reads."""

import json
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from insitrack.io.errors import SettingsError
from insitrack.tests.support.once import Once
from insitrack.tests.support.series_runs import linked_run
from insitrack.tracker.cli import main
from insitrack.tracker.many import catalogue as module
from insitrack.tracker.many.catalogue import INDEX, Catalogue

pytest.importorskip("duckdb")
NAMES = ["a", "it's night 1/b", "night 2/deep/c"]


@pytest.fixture(scope="module")
def linked(once: Once) -> Path:
    return once("linked_for_the_catalogue", linked_run) / "run_track"


@pytest.fixture
def lab(linked: Path, tmp_path: Path) -> Path:
    """A folder with three runs at several depths, and what is none."""
    for i, name in enumerate(NAMES):
        shutil.copytree(linked, tmp_path / "lab" / name)
        path = tmp_path / "lab" / name / "run.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(facts | {"started": f"2026-01-0{i + 1}T00:00:00+00:00"}), encoding="utf-8")
    (tmp_path / "lab" / "papers").mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    return tmp_path / "lab"


def test_runs_are_found_at_any_depth_and_filtered_and_sorted_by_any_column(lab: Path) -> None:
    catalogue = Catalogue(lab)
    assert [row["run"] for row in catalogue.rows] == NAMES
    heads, rows = catalogue.select("started > '2026-01-01T12' and n >= 0", ["run", "n"], "-started")
    assert heads == ["run", "n"]
    assert [row[0] for row in rows] == NAMES[:0:-1]
    assert rows[0][1] == catalogue.rows[0]["n"]


def test_what_has_not_changed_is_not_read_again_and_what_has_is(lab: Path) -> None:
    Catalogue(lab)
    path = lab / "a" / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("2026-01-01T", "2027-01-01T"), encoding="utf-8")
    with patch.object(module, "run_facts", wraps=module.run_facts) as read:
        later = Catalogue(lab)
    assert [call.args[0].name for call in read.call_args_list] == ["a"]
    assert later.rows[0]["started"].startswith("2027")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1, "runs": {"a": 3}}', '{"version": 0, "runs": {}}']
)
def test_a_damaged_index_is_made_anew(lab: Path, text: str) -> None:
    (lab / INDEX).write_text(text, encoding="utf-8")
    assert len(Catalogue(lab).rows) == 3
    assert len(json.loads((lab / INDEX).read_text(encoding="utf-8"))["runs"]) == 3


def test_a_damaged_run_is_named_and_the_others_are_there(lab: Path) -> None:
    (lab / "a" / "run.json").write_text("{", encoding="utf-8")
    told: list[str] = []
    assert [row["run"] for row in Catalogue(lab, told.append).rows] == NAMES[1:]
    assert told[0].startswith("a: left out")


def test_the_tables_of_all_runs_are_one_table_with_the_run_in_front(lab: Path) -> None:
    _, rows = Catalogue(lab).ask("select run, count(distinct frame) from series group by run order by run")
    assert rows == [(name, 60) for name in NAMES]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{above}/secret.csv')",
        "select * from read_csv('{lab}/../secret.csv')",
        "select * from '{above}/secret.csv'",
        "copy runs to '{lab}/stolen.csv'",
        "create table x as select 1",
        "attach '{lab}/x.db'",
        "set enable_external_access = true",
        "select 1; select 2",
        "select nothing_like_it from runs",
        "select",
        "",
    ],
)
def test_a_question_neither_writes_nor_sees_files_outside(lab: Path, sql: str) -> None:
    before = [*sorted(path.name for path in lab.iterdir()), INDEX]
    with pytest.raises(SettingsError):
        Catalogue(lab).ask(sql.format(above=lab.parent, lab=lab))
    assert sorted(path.name for path in lab.iterdir()) == sorted(before)


def test_the_command_lists_compares_and_names_the_nearest_run(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", str(lab), "--csv", "--columns", "run,tracks"]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["run", *NAMES]
    assert main(["runs", str(lab), "--compare", f"{NAMES[0]},{NAMES[2]}"]) == 0
    compared = capsys.readouterr().out
    assert "started" in compared
    assert "tracks" not in compared
    assert main(["runs", str(lab), "--open", "night 2/deep/d"]) == 2
    assert "did you mean night 2/deep/c?" in capsys.readouterr().err
    assert main(["runs", str(lab / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_series_reads_a_batch_by_its_status_table(lab: Path, tmp_path: Path) -> None:
    from insitrack.tracker.many.movies import Movie
    from insitrack.tracker.many.status import STATUS, MovieStatus, write_status
    from insitrack.tracker.run.config import load_config

    states = [
        MovieStatus(Movie(name, "synth:loops", lab / name, load_config()), status=status)
        for name, status in (("a", "done"), ("papers", "failed"))
    ]
    write_status(lab / STATUS.file, states)
    assert main(["series", str(lab), "--out", str(tmp_path / "out"), "--no-parquet"]) == 0
    runs = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["runs"]
    assert list(runs) == ["a"]
