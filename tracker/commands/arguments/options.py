"""Options that several commands have, each written once."""

from __future__ import annotations

import argparse
from typing import Any

from insitrack.io.errors import SettingsError
from insitrack.tracker.commands.arguments.parser import number


def add_on_trigger_option(parser: argparse.ArgumentParser) -> None:
    """Add what is called when a trigger fires; it is kept nowhere, so that no folder and no page can name it."""
    parser.add_argument(
        "--on-trigger",
        action="append",
        metavar="URL|PROGRAM",
        help="call http://127.0.0.1:PORT/... or start a program when a trigger of a live run fires; may be repeated",
    )


def add_output_options(parser: argparse.ArgumentParser, *, default: str, what: str = "run") -> None:
    """Add where results go."""
    parser.add_argument("--out", metavar="DIR", help=f"output folder (default: {default})")
    parser.add_argument(
        "--overwrite", action="store_true", help=f"replace an earlier {what} in the same folder"
    )


def add_settings_options(parser: argparse.ArgumentParser, *, file: bool = True) -> None:
    """Add the settings file, unless the command has none, and single settings."""
    if file:
        parser.add_argument(
            "--config", metavar="FILE", help="settings in TOML; configs/default.toml lists them all"
        )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, for example segment.confidence=0.4 or series.border=inside; may be repeated",
    )


def add_specimen_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    add = parser.add_argument
    add("--nm-per-px", type=number, metavar="NM", help="width of a pixel (default: what the file says)")
    add("--thickness-nm", type=number, metavar="NM", help="foil thickness, for volume density and hardening")
    add("--thickness-sd-nm", type=number, metavar="NM", help="its standard deviation (default: 10 percent)")
    add("--dose-rate", type=number, metavar="DPA/S", help="dose rate, for the dose axis")
    add(
        "--log",
        metavar="FILE",
        help="log of the stage or the ion source: time against dose, dose rate, current, temperature",
    )
    add(
        "--log-start", metavar="TIME", help="date and time of the first frame, for a log with dates and times"
    )
    add("--material", metavar="NAME", help="material constants: a shipped name or a TOML file, for hardening")
    add(
        "--alpha",
        metavar="CLASS=A,...",
        help="obstacle strengths in place of the material's, for example black_dot=0.2,loop_111=0.3",
    )
    add("--shear-modulus-gpa", type=number, metavar="GPA", help="in place of the material's")
    add(
        "--burgers-nm",
        type=number,
        metavar="NM",
        help="Burgers vector of the gliding dislocation, in place of the material's",
    )
    add("--taylor-factor", type=number, metavar="M", help="in place of the material's")


def add_classes_option(parser: argparse.ArgumentParser) -> None:
    """Add what the classes of labels mean."""
    parser.add_argument(
        "--classes",
        default="",
        metavar="THEIRS=OURS,...",
        help="what the classes of the labels mean; `ignore` leaves one out, `*` is all others",
    )


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Add what gives the numbers of frames that are not trusted."""
    parser.add_argument(
        "--trust-anyway",
        action="store_const",
        const=0.0,
        help="densities, sizes and hardening also of frames unlike all that the model has learnt to see",
    )


def specimen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that they stand for."""
    return {
        "source.nm_per_px": options.nm_per_px,
        "specimen.thickness_nm": options.thickness_nm,
        "specimen.thickness_sd_nm": options.thickness_sd_nm,
        "specimen.dose_rate_dpa_per_s": options.dose_rate,
        "specimen.log": options.log,
        "specimen.log_start": options.log_start,
        "specimen.material": options.material,
        "specimen.alpha": None if options.alpha is None else _alphas(options.alpha),
        "specimen.shear_modulus_gpa": options.shear_modulus_gpa,
        "specimen.burgers_nm": options.burgers_nm,
        "specimen.taylor_factor": options.taylor_factor,
    }


def _alphas(text: str) -> dict[str, float]:
    answer: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            answer[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise SettingsError(
                f"--alpha {text}: expected CLASS=NUMBER between commas, for example"
                " black_dot=0.2,loop_111=0.3"
            )
    return answer
