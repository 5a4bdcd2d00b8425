"""Pages, plots and figures from finished tables.

Nothing here computes a number that a table lacks, except how it is binned and spread on an axis.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.io.report.evaluation_report import write_evaluation as write_evaluation
    from insitrack.io.report.paper_figure import write_figures as write_figures
    from insitrack.io.report.run_report import write_report as write_report

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "evaluation_report": ["write_evaluation"],
        "paper_figure": ["write_figures"],
        "run_report": ["write_report"],
    },
)
