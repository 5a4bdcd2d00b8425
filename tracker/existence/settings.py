"""Settings of the probability of existence."""

from __future__ import annotations

from dataclasses import dataclass

from insitrack.io.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistenceConfig:
    """How finds become defects.

    Parameters
    ----------
    candidate_score : float
        Least score of a find that is followed at all, 0..1.
    keep : float
        Least probability of a defect that is counted, drawn and tabulated, 0..1.
    even_score : float
        Score at which a single find is as often a defect as not, 0..1, where the movie itself says nothing.
    odds_per_logit : float
        How fast the log odds rise with the logit of the score.

    Raises
    ------
    SettingsError
        If a value lies outside its range.
    """

    candidate_score: float = 0.05
    keep: float = 0.5
    even_score: float = 0.15
    odds_per_logit: float = 1.2

    def __post_init__(self) -> None:
        for name in ("candidate_score", "keep", "even_score"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise SettingsError(f"existence.{name} = {value}: expected a number between 0 and 1")
        if not 0 < self.odds_per_logit < 100:
            raise SettingsError(
                f"existence.odds_per_logit = {self.odds_per_logit}: expected a positive number, like 1.2"
            )
