"""Length of digital curves."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Chain = NDArray[np.int32]
LengthMethod = Literal["vossepoel_smeulders", "kulpa", "freeman"]


def chain_length(chain: Chain, method: LengthMethod = "vossepoel_smeulders") -> float:
    r"""Length of a chain of pixels, px.

    With :math:`n_e` straight steps, :math:`n_o` diagonal ones and :math:`n_c` changes of direction: Vossepoel
    and Smeulders :math:`0.980\,n_e + 1.406\,n_o - 0.091\,n_c`, Kulpa :math:`0.948\,(n_e + \sqrt2\,n_o)`,
    Freeman :math:`n_e + \sqrt2\,n_o`, which is 5.5 % too long on average over all directions.

    Parameters
    ----------
    chain : ndarray of int, shape (K, 2)
        Row and column of each pixel.
    method : {"vossepoel_smeulders", "kulpa", "freeman"}
        Estimator.

    Returns
    -------
    float
        0 for a single pixel.

    References
    ----------
    Vossepoel, Smeulders, Comput. Graph. Image Process. 20 (1982) 347, doi 10.1016/0146-664X(82)90034-X;
    Kulpa, ibid. 6 (1977) 434, doi 10.1016/S0146-664X(77)80021-X.

    Examples
    --------
    >>> diagonal = np.stack([np.arange(11), np.arange(11)], axis=1)
    >>> round(chain_length(diagonal), 2), round(chain_length(diagonal, "freeman"), 2)
    (14.06, 14.14)
    """
    steps = np.abs(np.diff(np.asarray(chain, np.int64), axis=0))
    moves = np.diff(np.asarray(chain, np.int64), axis=0)
    n_o = int((steps.sum(axis=1) == 2).sum())
    n_e = len(steps) - n_o
    n_c = int((moves[1:] != moves[:-1]).any(axis=1).sum())
    return length_from_counts(n_e, n_o, n_c, method)


def length_from_counts(n_e: int, n_o: int, n_c: int, method: LengthMethod = "vossepoel_smeulders") -> float:
    """Length from the numbers of straight and diagonal steps and of corners, px; see `chain_length`.

    Examples
    --------
    >>> [round(length_from_counts(10, 5, 4, method), 2) for method in ("freeman", "kulpa", "vossepoel_smeulders")]
    [17.07, 16.18, 16.47]
    """
    if method == "vossepoel_smeulders":
        return 0.980 * n_e + 1.406 * n_o - 0.091 * n_c
    freeman = n_e + 2**0.5 * n_o
    return 0.948 * freeman if method == "kulpa" else freeman
