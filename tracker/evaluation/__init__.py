"""`track eval`: found against true, for defects, sizes, densities, hardening and tracks.

Judges what is there: nothing here trains, tunes or changes a result.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.evaluation.evaluation import EvalSettings as EvalSettings
    from insitrack.tracker.evaluation.evaluation import Evaluation as Evaluation
    from insitrack.tracker.evaluation.run_tracks import read_true_tracks as read_true_tracks
    from insitrack.tracker.evaluation.run_tracks import score_run as score_run
    from insitrack.tracker.evaluation.track_scores import BoxTable as BoxTable
    from insitrack.tracker.evaluation.track_scores import TrackScores as TrackScores
    from insitrack.tracker.evaluation.track_scores import score_tracks as score_tracks

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "evaluation": ["EvalSettings", "Evaluation"],
        "run_tracks": ["read_true_tracks", "score_run"],
        "track_scores": ["BoxTable", "TrackScores", "score_tracks"],
    },
)
