"""The image of a cavity out of focus: the wave behind the missing material, propagated over the defocus.

Behind a cavity of depth t along the beam the wave lacks the phase and the absorption of the material that is
not there, psi = exp(mu t / 2 - i phi t), with phi = sigma V0 (interaction constant times mean inner
potential; 7.29e-3 rad/(V nm) x 24 V = 0.17 rad/nm for iron at 200 kV). Over a defocus D it is multiplied by
exp(-i pi lambda D k^2) in Fourier space; its squared modulus shows Fresnel fringes along the cavity's edge:
under focus (D < 0) the inside is bright and a dark fringe lies *outside* the edge, over focus the reverse.

References
----------
Ruehle & Wilkens, Crystal Lattice Defects 6 (1975) 129 (contrast of cavities); Reimer & Kohl, Transmission
Electron Microscopy, 5th ed., Springer 2008, chapters 3 and 6 (interaction constant, Fresnel propagation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insitrack.io.arrays import Floats32

WAVELENGTH_NM = 0.00251
"""Of electrons of 200 keV."""
_FLAT_SHARE = 0.85  # depth of a facetted cavity over its diameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """How cavities are imaged, in px of the image.

    Parameters
    ----------
    defocus_px2 : float
        Wavelength times defocus, px^2; negative under focus.
    phase_per_px : float
        Phase that a px of material adds, rad.
    absorption_per_px : float
        Logarithm of the intensity that a px of material takes.
    blur_px : float
        Standard deviation of the envelope that limits the fringes, px.
    """

    defocus_px2: float = -40.0
    phase_per_px: float = 0.06
    absorption_per_px: float = 0.006
    blur_px: float = 0.5

    @property
    def fringe_px(self) -> float:
        """Distance over which the fringes die out, px: about two of them."""
        return float(1.6 * abs(self.defocus_px2) ** 0.5)


def depth_px(distance_px: Floats32, radius_px: float, *, flat: float | None = None) -> Floats32:
    """Material that is missing along the beam.

    Parameters
    ----------
    distance_px : ndarray of float32
        Signed distance from the projected edge of the cavity, px, negative inside.
    radius_px : float
        Radius of the cavity, px.
    flat : float, optional
        None for a sphere; else facetted: 0 rises from the edge to the middle, 1 within a quarter of the way.

    Returns
    -------
    ndarray of float32
        Depth, px; 0 outside.

    Examples
    --------
    >>> depth_px(np.array([1.0, 0.0, -10.0], np.float32), 10.0).tolist()
    [0.0, 0.0, 20.0]
    """
    inside = np.clip(-distance_px / np.float32(radius_px), 0, 1)
    diameter = 2 * np.float32(radius_px)
    if flat is None:
        return np.asarray(diameter * np.sqrt(1 - (1 - inside) ** 2), np.float32)
    return np.asarray(diameter * _FLAT_SHARE * np.minimum(inside * np.float32(1 + 3 * flat), 1), np.float32)


def intensity(depth: Floats32, optics: Optics) -> Floats32:
    """Intensity behind cavities, 1 where there is none.

    Parameters
    ----------
    depth : ndarray of float32, shape (H, W)
        Material missing along the beam, px, 0 for a few fringes from the border: the field is taken as
        periodic.
    optics : Optics
        Defocus and material.

    Returns
    -------
    ndarray of float32, shape (H, W)
    """
    lost = np.float32(optics.absorption_per_px / 2) - 1j * np.float32(optics.phase_per_px)
    ky = np.fft.fftfreq(depth.shape[0])[:, None]
    kx = np.fft.fftfreq(depth.shape[1])[None, :]
    k2 = kx * kx + ky * ky
    transfer = np.exp(-1j * np.pi * optics.defocus_px2 * k2 - 2 * (np.pi * optics.blur_px) ** 2 * k2)
    wave = 1 + np.fft.ifft2(np.fft.fft2(np.exp(lost * depth) - 1) * transfer)
    return np.asarray(np.abs(wave) ** 2, np.float32)
