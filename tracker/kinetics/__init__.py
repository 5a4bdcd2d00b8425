"""Lifetimes, growth, rates, diffusion and saturation with their intervals, and the histories of tracks.

Everything here takes tracks in memory: nothing reads a run or decides what is written.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.kinetics.estimators import Estimate as Estimate
    from insitrack.tracker.kinetics.estimators import Survival as Survival
    from insitrack.tracker.kinetics.estimators import event_rate as event_rate
    from insitrack.tracker.kinetics.estimators import growth_rate as growth_rate
    from insitrack.tracker.kinetics.estimators import kaplan_meier as kaplan_meier
    from insitrack.tracker.kinetics.estimators import mean_lifetime as mean_lifetime
    from insitrack.tracker.kinetics.motion import Diffusion as Diffusion
    from insitrack.tracker.kinetics.motion import diffusion as diffusion
    from insitrack.tracker.kinetics.saturation import Saturation as Saturation
    from insitrack.tracker.kinetics.saturation import saturation as saturation
    from insitrack.tracker.kinetics.track_histories import TrackHistories as TrackHistories
    from insitrack.tracker.kinetics.track_histories import track_histories as track_histories

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "estimators": [
            "Estimate",
            "Survival",
            "event_rate",
            "growth_rate",
            "kaplan_meier",
            "mean_lifetime",
        ],
        "motion": ["Diffusion", "diffusion"],
        "saturation": ["Saturation", "saturation"],
        "track_histories": ["TrackHistories", "track_histories"],
    },
)
