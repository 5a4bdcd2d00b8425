"""An environment that holds what a wheel requires and nothing else, linked together from the present one."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DECOYS = (
    ".venv/lib/secret.py",
    "build/lib/insitrack/old.py",
    "demo/tracks.csv",
    "notes.txt",
    "io/scratch.log",
)
"""What lies about in a developer's folder and belongs into no release."""


def project() -> dict[str, object]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    answer: dict[str, object] = tomllib.loads(text)["project"]
    return answer


def required(lines: list[str]) -> dict[str, Distribution]:
    """Distributions that requirements bring in this environment, with those that they bring in turn."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), "") for line in lines]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        for asked in ("", *requirement.extras):
            if (name, asked) in seen:
                continue
            seen.add((name, asked))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError as error:
                raise AssertionError(f"{requirement} is not installed in this environment") from error
            waiting += [(Requirement(line), asked) for line in found[name].requires or []]
    return found


def python_of(environment: Path) -> Path:
    """Python of a virtual environment."""
    return environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def lean_environment(folder: Path, wheel: Path) -> None:
    """Make a virtual environment of the wheel and what it requires without extras."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = python_of(folder)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for one in required(list(project()["dependencies"])).values():  # type: ignore[call-overload]
        tops = {
            file.parts[0] for file in one.files or [] if ".." not in file.parts and not file.is_absolute()
        }
        for top in tops - {"__pycache__", "tests"}:  # some leave a folder of tests beside their package
            target = packages / top
            if not target.exists():
                target.symlink_to(Path(str(one.locate_file(top))))
    install = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
