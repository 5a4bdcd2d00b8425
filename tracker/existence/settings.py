"""Settings of the probability of existence."""

from __future__ import annotations

from dataclasses import dataclass

from insitrack.io.errors import SettingsError

EVEN_SCORE, ODDS_PER_LOGIT = 0.15, 1.2
"""For models whose card says nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistenceConfig:
    """How finds become defects.

    Parameters
    ----------
    candidate_score : float
        Least score of a find that is followed at all, 0..1.
    keep : float
        Least probability of a defect that is counted, drawn and tabulated, 0..1.
    even_score : float or None
        Score at which a single find is as often a defect as not, 0..1, where the movie itself says nothing; None:
        that of the model's card, or `EVEN_SCORE`.
    odds_per_logit : float or None
        How fast the log odds rise with the logit of the score; None: that of the model's card, or
        `ODDS_PER_LOGIT`.

    Raises
    ------
    SettingsError
        If a value lies outside its range.
    """

    candidate_score: float = 0.05
    keep: float = 0.5
    even_score: float | None = None
    odds_per_logit: float | None = None

    def __post_init__(self) -> None:
        for name in ("candidate_score", "keep", "even_score"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise SettingsError(f"existence.{name} = {value}: expected a number between 0 and 1")
        if self.odds_per_logit is not None and not 0 < self.odds_per_logit < 100:
            raise SettingsError(
                f"existence.odds_per_logit = {self.odds_per_logit}: expected a positive number, like 1.2"
            )

    @property
    def even(self) -> float:
        """Score at which a find is as often a defect as not."""
        return EVEN_SCORE if self.even_score is None else self.even_score

    @property
    def slope(self) -> float:
        """Rise of the log odds with the logit of the score."""
        return ODDS_PER_LOGIT if self.odds_per_logit is None else self.odds_per_logit
