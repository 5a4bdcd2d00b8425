"""Settings of a run: defaults, then a TOML file, then `--set`; every unknown key is refused."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from insitrack.io.detections import check_class
from insitrack.io.errors import SettingsError
from insitrack.io.live.settings import LiveConfig
from insitrack.io.plausible import DOSE_RATE_DPA_PER_S, THICKNESS_NM, plausible
from insitrack.segment.base import SegmentConfig
from insitrack.segment.prepare.field import FieldConfig
from insitrack.tracker.existence.settings import ExistenceConfig
from insitrack.tracker.hindsight.settings import RefineConfig
from insitrack.tracker.link.settings import DriftConfig, LinkConfig
from insitrack.tracker.measure.measure import MeasureConfig
from insitrack.tracker.run.validation import build_settings
from insitrack.tracker.series.settings import SeriesConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """Which frames, and their scale and time.

    Parameters
    ----------
    nm_per_px : float or None
        Width of a pixel, nm; None takes what the file says.
    nm_per_px_sd : float or None
        Standard deviation of it, nm; None takes 2 percent of it, 0 takes it as exact.
    view_nm_per_px : tuple of float
        Width of a pixel in the views after the first, in their order, nm: after a change of the magnification in
        mid-movie the scale is unknown otherwise.
    frame_interval_s : float or None
        Time between frames, s; None takes the timestamps of the file. Give it for a movie that plays faster
        than it was taken.
    start_s, end_s : float or None
        First and last time to process, s of the source's own time axis.
    every : int
        Process every N-th frame.
    stills : bool
        The frames are separate micrographs and no movie: each is counted by itself, none is linked.
    """

    nm_per_px: float | None = None
    nm_per_px_sd: float | None = None
    view_nm_per_px: tuple[float, ...] = ()
    frame_interval_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    every: int = 1
    stills: bool = False

    def reading(self) -> dict[str, Any]:
        """Return what the reader of a source needs: the rest is not for a file to know."""
        names = ("nm_per_px", "frame_interval_s", "start_s", "end_s", "every")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        if self.nm_per_px_sd is not None and not (
            math.isfinite(self.nm_per_px_sd) and self.nm_per_px_sd >= 0
        ):
            raise SettingsError(
                f"source.nm_per_px_sd = {self.nm_per_px_sd}: expected zero or a positive number of nm"
            )
        for name in ("nm_per_px", "frame_interval_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(
                    f"source.{name} = {value}: expected a positive number; leave it out if it is unknown"
                )
        for value in self.view_nm_per_px:
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(
                    f"source.view_nm_per_px = {value}: expected positive numbers, one for each later view"
                )
        if self.every < 1:
            raise SettingsError(
                f"source.every = {self.every}: expected 1 for every frame, 2 for every second one, and so on"
            )
        if self.start_s is not None and self.end_s is not None and self.end_s < self.start_s:
            raise SettingsError(
                f"source.end_s = {self.end_s}: expected a time after source.start_s = {self.start_s}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecimenConfig:
    """What is looked at.

    Parameters
    ----------
    thickness_nm : float or None
        Foil thickness, nm; None leaves volume densities and hardening empty.
    thickness_sd_nm : float or None
        Standard deviation of it, nm; None takes the relative one of `series`.
    dose_rate_dpa_per_s : float or None
        Dose rate, dpa/s; None leaves the dose empty.
    material : str or None
        Name of a shipped material, or path of a TOML file; None leaves hardening empty.
    alpha : mapping of str to float
        Obstacle strengths by class, in place of those of the material.
    shear_modulus_gpa, burgers_nm, taylor_factor : float or None
        Constants in place of those of the material; with the first two none is needed.
    dose_standard : {"as_supplied", "nrt", "arc"}
        What the dose rate counts, for the record: published ones differ by a factor of two.
    beam_off_s : sequence of (float, float)
        Times between which the beam is off, s: the dose stands still there.
    log : str or None
        CSV of the stage or of the ion source, time against dose, dose rate, current, temperature; goes before
        `dose_rate_dpa_per_s`.
    log_start : str or None
        Date and time of the first frame, for a log with dates and times.
    log_dates : {"auto", "day_first", "month_first"}
        Order of dates such as 01/05/2026 in the log; `auto` finds it, or asks.
    nominal_current_a : float or None
        Beam current at `dose_rate_dpa_per_s`, A: the rate then follows the logged current.
    """

    thickness_nm: float | None = None
    thickness_sd_nm: float | None = None
    dose_rate_dpa_per_s: float | None = None
    material: str | None = None
    alpha: Mapping[str, float] = field(default_factory=dict)
    shear_modulus_gpa: float | None = None
    burgers_nm: float | None = None
    taylor_factor: float | None = None
    dose_standard: Literal["as_supplied", "nrt", "arc"] = "as_supplied"
    beam_off_s: tuple[tuple[float, float], ...] = ()
    log: str | None = None
    log_start: str | None = None
    log_dates: Literal["auto", "day_first", "month_first"] = "auto"
    nominal_current_a: float | None = None

    def __post_init__(self) -> None:
        for name in self.alpha:
            check_class("specimen.alpha", name)
        pairs = tuple(tuple(pair) if isinstance(pair, (list, tuple)) else (pair,) for pair in self.beam_off_s)
        if any(len(pair) != 2 or not all(isinstance(end, (int, float)) for end in pair) for pair in pairs):
            raise SettingsError(
                f"specimen.beam_off_s = {list(self.beam_off_s)}: expected pairs of times in s, such as"
                " [[100.0, 160.0]]"
            )
        object.__setattr__(self, "beam_off_s", pairs)
        if self.log is not None and pairs:
            raise SettingsError(
                "specimen.beam_off_s and specimen.log: give one; the log says when the beam was off"
            )
        for name, limits, unit in (
            ("thickness_nm", THICKNESS_NM, "nm"),
            ("dose_rate_dpa_per_s", DOSE_RATE_DPA_PER_S, "dpa/s"),
            ("nominal_current_a", (5e-324, 1.7e308), "A"),
        ):
            value = getattr(self, name)
            if value is not None and not plausible(value, limits):
                among = f" from {limits[0]:g} to {limits[1]:g}" if unit != "A" else ""
                raise SettingsError(
                    f"specimen.{name} = {value}: expected a positive number of {unit}{among}; leave it out if it"
                    " is unknown"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """What is written.

    Parameters
    ----------
    video : bool
        Write `annotated.mp4`.
    registered : bool
        Write `registered.mp4`: the frames as they are, with the drift of the stage taken off.
    raw : bool
        Keep the frames of a live run, lossless, in `raw/`: 0.3 to 0.7 MB for 1024 x 1024 px of 8 bits.
    view : str
        Where the browser view of a live run listens, HOST:PORT; port 0 takes a free one; empty: none. Any
        host but this computer needs a token, which the printed address holds.
    """

    video: bool = True
    registered: bool = False
    raw: bool = False
    view: str = "127.0.0.1:0"

    def __post_init__(self) -> None:
        host, colon, port = self.view.rpartition(":")
        if self.view and not (colon and host and port.isdigit() and int(port) < 65536):
            raise SettingsError(
                f"output.view = {self.view!r}: expected HOST:PORT, for example 127.0.0.1:8000, or nothing"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Every setting of a run; `configs/default.toml` lists them with units and reasons.

    Parameters
    ----------
    model : str
        Name of a shipped model, or path of an ONNX file with its card beside it.
    source, live, specimen, field, segment, existence, drift, link, refine, measure, series, output
        Sections, each described where its code is.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}
    """How pydantic reads this and its sections, see `insitrack.tracker.run.validation`."""

    model: str = "loops"
    source: SourceConfig = field(default_factory=SourceConfig)
    live: LiveConfig = field(default_factory=LiveConfig)
    specimen: SpecimenConfig = field(default_factory=SpecimenConfig)
    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    segment: SegmentConfig = dataclasses.field(default_factory=SegmentConfig)
    existence: ExistenceConfig = dataclasses.field(default_factory=ExistenceConfig)
    drift: DriftConfig = dataclasses.field(default_factory=DriftConfig)
    link: LinkConfig = dataclasses.field(default_factory=LinkConfig)
    refine: RefineConfig = dataclasses.field(default_factory=RefineConfig)
    measure: MeasureConfig = dataclasses.field(default_factory=MeasureConfig)
    series: SeriesConfig = dataclasses.field(default_factory=SeriesConfig)
    output: OutputConfig = dataclasses.field(default_factory=OutputConfig)

    @property
    def judged(self) -> ExistenceConfig | None:
        """How candidates are judged; None where a least confidence was asked for, which then decides."""
        return self.existence if self.segment.confidence is None else None

    def plain(self) -> dict[str, Any]:
        """Every resolved setting as nested dictionaries, for the manifest."""
        return dataclasses.asdict(self)


def load_config(
    path: Path | None = None, assignments: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> RunConfig:
    """Resolve the settings: defaults, then the file, then `--set`, then the command's own options.

    Parameters
    ----------
    path : Path, optional
        TOML file with the sections of `configs/default.toml`.
    assignments : sequence of str
        `section.key=value`, the value written as in TOML; a bare word is taken as text.
    options : mapping, optional
        Dotted key to value; None values are left out.

    Raises
    ------
    SettingsError
        If a key is unknown, a value has the wrong type or lies outside its range, or the file is not TOML.

    Examples
    --------
    >>> load_config(assignments=["segment.confidence=0.4"]).segment.confidence
    0.4
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(
                f"--config {path}: cannot be read ({error.strerror}); expected a TOML file"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"--config {path}: not TOML ({error}); see configs/default.toml for the form"
            ) from error
    _assign(tree, assignments, options)
    return build_settings(RunConfig, tree)


def changed(
    config: RunConfig, assignments: Sequence[str], options: Mapping[str, Any] | None, allowed: Sequence[str]
) -> RunConfig:
    """Put assignments and options over a configuration, as `load_config` does, where they are allowed.

    Raises
    ------
    SettingsError
        If a setting is not among `allowed`, which names sections and settings.
    """
    tree = known_settings(config.plain())
    places = [(assignment.partition("=")[0].strip(), assignment) for assignment in assignments]
    for key, assignment in places:
        if not any(key == name or key.startswith(f"{name}.") for name in allowed):
            raise SettingsError(
                f"--set {assignment}: {key} took part in finding the defects; from tables only"
                f" {', '.join(allowed)} can be changed"
            )
    _assign(tree, assignments, options)
    if any(key == "measure.sizes_of" for key, _ in places):  # whose definitions these are is asked for again
        tree["measure"]["size_definition"] = {}
        _assign(tree, [text for key, text in places if key.startswith("measure.size_definition")], None)
    return build_settings(RunConfig, tree)


def known_settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None: those settings have no value."""
    return {
        key: known_settings(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }


def _assign(tree: dict[str, Any], assignments: Sequence[str], options: Mapping[str, Any] | None) -> None:
    """Place `key=value` texts, then options that are not None."""
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"--set {assignment}: expected key=value, for example segment.confidence=0.4")
        _place(tree, key.strip(), _parse_value(text.strip()))
    for key, value in (options or {}).items():
        if value is not None:
            _place(tree, key, value)


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _place(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"--set {dotted}: {section} is a value, not a section")
        tree = inner
    tree[key] = value
