"""Hook of MkDocs: pages that are made while the site is built, and links that lead from ``docs`` to other folders.

The home page is the README, the pages of measurements are those of ``benchmarks``, and the reference of the library
is made from what each wing hands out. Nothing is written into ``docs``.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from html import unescape
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "io": "Frames in, results out",
    "segment": "From a frame to its defects",
    "tracker": "From defects to series",
}
GUIDES = [
    {"First hour": "first-hour.md"},
    {"Tutorial: heated titanium": "tutorial.md"},
    {"Live at the microscope": "live.md"},
    {"Many movies, many machines": "many.md"},
    {"Scaling": "scaling.md"},
    {"My defects are not found": "not-found.md"},
    {"Numbers and their errors": "numbers.md"},
    {"From tables to a figure": "series.md"},
    {"Train it on your own material": "own-material.md"},
    {"Your own model": "training.md"},
    {"Evaluation": "evaluation.md"},
    {"Questions": "faq.md"},
]
REFERENCE = [
    {"Commands": "commands.md"},
    {"Settings": "settings.md"},
    {"Columns": "tables.md"},
    {"Formulas and sources": "physics.md"},
    {"Tracking": "tracking.md"},
    {"Correcting a run": "review.md"},
    {"Kinetics": "kinetics.md"},
    {"Files": "files.md"},
    {"Models": "models.md"},
    {"What is promised": "promises.md"},
    {"Synthetic movies": "synthetic.md"},
    {"Glossary": "glossary.md"},
]
MOVED = (  # where a link of the repository leads on the site, and where one of a page of the site's top leads there
    (re.compile(r"\]\((?:\.\./)?README\.md"), "](index.md"),
    (re.compile(r"\]\((?:\.\./)?CHANGELOG\.md"), "](changes.md"),
    (re.compile(r"\]\((?:\.\./)?CITATION\.cff"), "](cite.md"),
    (re.compile(r"\]\((?:\.\./)?CONTRIBUTING\.md"), "](contributing.md"),
    (re.compile(r"\]\((?:\.\./)?configs/default\.toml"), "](settings.md"),
    (re.compile(r"\]\((?:\.\./)?segment/weights/"), "](models/"),
    (re.compile(r"\]\(\.\./benchmarks/"), "](benchmarks/"),
    (re.compile(r"\]\(docs/"), "]("),
)
_SHIM = re.compile(r'<script src="https://unpkg.com/[^"]*"></script>')
_CODE_LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)*[\w/.-]+\.(?:py|toml|json|cff)\)")


def on_config(config: Any) -> Any:
    """Lay out the navigation."""
    measured = [{"All, and how old they are": "benchmarks.md"}]
    measured += [{_title(path): f"benchmarks/{path.name}"} for path in _measurements()]
    cards = [{f"Card of {path.stem}": f"models/{path.name}"} for path in _cards()]
    library = [{"Start here": "api/index.md"}, *({floor: _nav(floor)} for floor in FLOORS)]
    about = [{"How the code is laid out": "architecture.md"}, {"Decisions": "decisions.md"}]
    about += [{"Contributing": "contributing.md"}] if (ROOT / "CONTRIBUTING.md").is_file() else []
    about += [{"Changes": "changes.md"}, {"How to cite": "cite.md"}]
    config["nav"] = [
        {"Home": "index.md"},
        {"Guides": GUIDES},
        {"Reference": [*REFERENCE, *cards]},
        {"Library": library},
        {"Measured": measured},
        {"Project": about},
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie elsewhere in the repository, and those of the library."""
    pages = {
        "index.md": "---\nhide: [navigation]\n---\n" + _read("README.md"),
        "changes.md": _read("CHANGELOG.md"),
    }
    if (ROOT / "CONTRIBUTING.md").is_file():
        pages["contributing.md"] = _read("CONTRIBUTING.md")
    pages |= _measured_pages()
    pages |= {f"models/{path.name}": path.read_text(encoding="utf-8") for path in _cards()}
    pages |= {f"api/{name}.md": text for name, text in _library().items()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links of the repository into links of the site; source files are named, not linked."""
    for pattern, target in MOVED:
        markdown = pattern.sub(target, markdown)
    if page.file.src_uri.startswith("benchmarks/"):
        markdown = markdown.replace("](../docs/", "](../")
    return _CODE_LINK.sub(r"\1", markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Draw the formulas of docstrings as MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    def drawn(found: re.Match[str], display: str) -> str:
        return str(convert(unescape(" ".join(found.group(1).split())), display=display))

    html = re.sub(
        r"<p>\.\. math:: (.*?)</p>", lambda found: f"<p>{drawn(found, 'block')}</p>", html, flags=re.S
    )
    return re.sub(r":math:<code>(.*?)</code>", lambda found: drawn(found, "inline"), html, flags=re.S)


def on_post_page(output: str, config: Any, page: Any) -> str:
    """Replace the one script that the theme would load from outside by our own, ahead of the theme's."""
    script = "../" * page.file.src_uri.count("/") + "site.js"
    return _SHIM.sub(f'<script src="{script}"></script>', output)


def on_post_template(output: str, template_name: str, config: Any) -> str:
    """Do the same for the page of a wrong address."""
    return _SHIM.sub('<script src="/site.js"></script>', output)


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _measured_pages() -> dict[str, str]:
    """Pages of measurements, each with the date of its figures, and the list of them all."""
    spec = importlib.util.spec_from_file_location("measured", ROOT / "benchmarks" / "measured.py")
    assert spec is not None
    assert spec.loader is not None
    measured = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measured)
    rows = measured.figures()
    notes = {row.name: measured.note(row) for row in rows}
    pages = {"benchmarks.md": measured.page(rows)}
    for path in _measurements():
        title, _, rest = path.read_text(encoding="utf-8").partition("\n")
        note = notes.get(path.stem, "")
        pages[f"benchmarks/{path.name}"] = f"{title}\n\n{note}\n{rest}" if note else f"{title}\n{rest}"
    return pages


def _measurements() -> list[Path]:
    return sorted((ROOT / "benchmarks").glob("*.md"))


def _cards() -> list[Path]:
    return sorted((ROOT / "segment" / "weights").glob("*.md"))


def _title(path: Path) -> str:
    found = re.search(r"^# (.*)", path.read_text(encoding="utf-8"), re.M)
    return found.group(1) if found else path.stem


def _wings(floor: str) -> list[str]:
    """Return the packages of a floor, itself first."""
    package = f"insitrack.{floor}"
    inside = pkgutil.iter_modules([str(ROOT / floor)])
    return [package, *(f"{package}.{module.name}" for module in inside if module.ispkg)]


def _nav(floor: str) -> list[dict[str, str]]:
    return [
        {name.removeprefix("insitrack."): f"api/{name.removeprefix('insitrack.')}.md"}
        for name in _wings(floor)
    ]


def _library() -> dict[str, str]:
    """Text of each page of the reference: what a wing is for, and its public names."""
    pages = {"index": _page("insitrack")}
    lines = ["", "## Wings", "", "| wing | what is in it |", "|---|---|"]
    for floor in FLOORS:
        for name in _wings(floor):
            short = name.removeprefix("insitrack.")
            pages[short] = _page(name)
            summary = (
                (importlib.import_module(name).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
            )
            lines.append(f"| [`{name}`]({short}.md) | {summary} |")
    pages["index"] += "\n".join(lines) + "\n"
    return pages


def _page(name: str) -> str:
    """Page of a wing: its docstring and its public names; where it hands out none, those of its modules."""
    module = importlib.import_module(name)
    lines = [f"# {name}", "", (module.__doc__ or "").split("\n\nExamples\n")[0].strip(), ""]
    public = sorted(_public_names(module).items(), key=lambda item: item[1])
    homes = [home for home, _ in public]
    if not hasattr(module, "__all__"):
        inside = pkgutil.iter_modules(module.__path__)
        homes = [f"{name}.{one.name}" for one in inside if not one.ispkg and not one.name.startswith("_")]
    for home in homes:
        lines += [f"::: {home}", ""]
    return "\n".join(lines)


def _public_names(module: Any) -> dict[str, str]:
    """Where each public class and function of a wing is defined, with the name under which it is handed out."""
    names = {}
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        home = getattr(thing, "__module__", None)
        if (
            name.startswith("__")
            or home is None
            or not home.startswith("insitrack")
            or not hasattr(thing, "__qualname__")
        ):
            continue
        names[f"{home}.{thing.__qualname__}"] = name
    return names
