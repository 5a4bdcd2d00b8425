"""Laws of hardening, their superposition, materials and their constants with sources.

Physics only: nothing here knows frames, tracks or tables.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from insitrack.tracker.hardening.laws import bacon_kocks_scattergood as bacon_kocks_scattergood
    from insitrack.tracker.hardening.laws import dispersed_barrier as dispersed_barrier
    from insitrack.tracker.hardening.laws import friedel_kroupa_hirsch as friedel_kroupa_hirsch
    from insitrack.tracker.hardening.laws import taylor as taylor
    from insitrack.tracker.hardening.materials import load_material as load_material
    from insitrack.tracker.hardening.materials import material_names as material_names
    from insitrack.tracker.hardening.materials import with_constants as with_constants
    from insitrack.tracker.hardening.models import Barrier as Barrier
    from insitrack.tracker.hardening.models import Material as Material
    from insitrack.tracker.hardening.superposition import linear as linear
    from insitrack.tracker.hardening.superposition import odette_lucas_share as odette_lucas_share
    from insitrack.tracker.hardening.superposition import power_sum as power_sum
    from insitrack.tracker.hardening.superposition import quadrature as quadrature
    from insitrack.tracker.hardening.superposition import weighted as weighted

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "laws": ["bacon_kocks_scattergood", "dispersed_barrier", "friedel_kroupa_hirsch", "taylor"],
        "materials": ["load_material", "material_names", "with_constants"],
        "models": ["Barrier", "Material"],
        "superposition": ["linear", "odette_lucas_share", "power_sum", "quadrature", "weighted"],
    },
)
