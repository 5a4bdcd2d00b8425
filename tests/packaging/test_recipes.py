"""Recipes for containers, conda and the CI of a public repository say what the project itself says."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import insitrack

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ON_CONDA = {"opencv-python": "py-opencv", "lazy-loader": "lazy-loader"}
OF_EXTRAS = {"h5py", "mrcz"}  # what rosettasciio[hdf5,mrcz] brings: conda has no extras


def demo() -> list[str]:
    found = re.search(r"<!-- demo -->\n```console\n\$ [^\n]*/track ([^\n]*)\n", README)
    assert found
    return shlex.split(found.group(1))


def conda_recipe() -> dict[str, dict[str, list[str]]]:
    answer: dict[str, dict[str, list[str]]] = yaml.safe_load(
        (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    )
    return answer


def test_the_conda_recipe_requires_what_the_core_requires() -> None:
    wanted = {"python": PROJECT["requires-python"]}
    for line in PROJECT["dependencies"]:
        one = Requirement(line)
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        wanted[ON_CONDA.get(name, name)] = str(one.specifier)
    given = dict(line.partition(" ")[::2] for line in conda_recipe()["requirements"]["run"])
    assert set(given) >= OF_EXTRAS

    def bounds(text: str) -> set[str]:
        return set(text.replace(" ", "").split(","))

    assert {name: bounds(text) for name, text in given.items() if name not in OF_EXTRAS} == {
        name: bounds(text) for name, text in wanted.items()
    }


def test_the_changelog_and_the_citation_are_of_this_version_and_of_one_date() -> None:
    newest = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert newest.groups() == (citation["version"], str(citation["date-released"]))
    assert citation["version"] == insitrack.__version__


def test_the_version_is_written_in_the_package_alone() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in settings["project"]["dynamic"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "insitrack.__version__"}


def test_the_conda_recipe_is_of_this_version_and_has_the_command() -> None:
    recipe = conda_recipe()
    assert recipe["package"]["version"] == insitrack.__version__
    commands = {f"{name} = {target}" for name, target in PROJECT["scripts"].items()}
    assert set(recipe["build"]["python"]["entry_points"]) == commands  # type: ignore[call-overload]


def test_the_containers_run_the_demo_of_the_readme_where_nothing_else_is_asked_for() -> None:
    docker = (ROOT / "packaging" / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (.*)$", docker, re.M)
    assert json.loads(command) == demo()
    apptainer = (ROOT / "packaging" / "insitrack.def").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ +set -- (.*)$", apptainer, re.M)
    assert shlex.split(line) == demo()


def test_the_containers_install_the_core_without_extras() -> None:
    for name in ("Dockerfile", "insitrack.def"):
        text = (ROOT / "packaging" / name).read_text(encoding="utf-8")
        assert re.findall(r"pip install ([^\n\\]*)", text) == [
            "--no-cache-dir --no-compile /src/insitrack" + (" " if name == "Dockerfile" else "")
        ]


def test_the_public_ci_runs_the_same_command_on_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["tests"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert {system.split("-")[0] for system in job["strategy"]["matrix"]["os"]} == {
        "ubuntu",
        "macos",
        "windows",
    }
