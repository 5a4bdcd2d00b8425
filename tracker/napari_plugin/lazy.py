"""Frames of a run as an array that is read as far as it is looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insitrack.io.errors import SourceError
from insitrack.io.frames import Frame, Source

_HELD_BYTES = 256 * 2**20
_READ_ON = 24  # frames up to which reading on is cheaper than opening the movie again


class LazyFrames:
    """An array (T, H, W) that asks for a frame when it is indexed, and keeps the last ones.

    Parameters
    ----------
    read : callable
        Gives the image of a place, shape (H, W).
    shape : tuple of int
        T, H and W.
    dtype : dtype
        Of the images.
    """

    ndim = 3

    def __init__(self, read: Callable[[int], NDArray[Any]], shape: tuple[int, int, int], dtype: Any) -> None:
        self._read, self.shape, self.dtype = read, shape, np.dtype(dtype)
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._most = max(4, _HELD_BYTES // max(1, shape[1] * shape[2] * self.dtype.itemsize))

    @property
    def size(self) -> int:
        """Pixels of all frames."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def frame(self, place: int) -> NDArray[Any]:
        """Image of one place."""
        if place not in self._kept:
            self._kept[place] = np.asarray(self._read(place), self.dtype)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(place)
        return self._kept[place]

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        if isinstance(first, int | np.integer):
            return self.frame(self._place(int(first)))[tuple(rest)]
        if isinstance(first, slice):
            places = range(*first.indices(self.shape[0]))
            some = [self.frame(place)[tuple(rest)] for place in places]
            empty = np.zeros((0, *self.shape[1:]), self.dtype)
            return np.stack(some) if some else empty[(slice(None), *rest)]
        places_of = np.asarray(first)
        if places_of.ndim == 0:
            return self.frame(self._place(int(places_of)))[tuple(rest)]
        if not rest:
            return np.stack([self.frame(self._place(int(one))) for one in places_of])
        indices = np.broadcast_arrays(places_of, *rest)
        out = np.zeros(indices[0].shape, self.dtype)
        for place in np.unique(indices[0]).tolist():
            here = indices[0] == place
            out[here] = self.frame(self._place(place))[tuple(one[here] for one in indices[1:])]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _place(self, index: int) -> int:
        if not -self.shape[0] <= index < self.shape[0]:
            raise IndexError(f"frame {index} of {self.shape[0]}")
        return index % self.shape[0]


class LazyLabels(LazyFrames):
    """The same for outlines, which may be painted on: frames that were are kept, and known in `changed`."""

    def __init__(self, read: Callable[[int], NDArray[Any]], shape: tuple[int, int, int]) -> None:
        super().__init__(read, shape, np.uint32)
        self.changed: dict[int, NDArray[np.uint32]] = {}

    def frame(self, place: int) -> NDArray[Any]:
        """Labels of one place, as they are now."""
        return self.changed[place] if place in self.changed else super().frame(place)

    def original(self, place: int) -> NDArray[Any]:
        """Labels of one place, as the run has them."""
        return super().frame(place)

    def __setitem__(self, key: Any, value: Any) -> None:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            first = np.arange(*first.indices(self.shape[0]))
            for place in first.tolist():
                self[(place, *rest)] = value
            return
        places = np.asarray(first)
        if places.ndim == 0:
            self._writable(self._place(int(places)))[tuple(rest)] = value
            return
        indices = np.broadcast_arrays(places, *rest)
        values = np.broadcast_to(np.asarray(value, self.dtype), indices[0].shape)
        for place in np.unique(indices[0]).tolist():
            here = indices[0] == place
            self._writable(self._place(place))[tuple(one[here] for one in indices[1:])] = values[here]

    def _writable(self, place: int) -> NDArray[np.uint32]:
        if place not in self.changed:
            self.changed[place] = super().frame(place).astype(np.uint32, copy=True)
        return self.changed[place]


class MovieReader:
    """Reads frames of a movie by their place: on from where it is, or from the time of the frame.

    Parameters
    ----------
    open_from : callable
        Opens the movie from a time on, s.
    numbers, t_s : ndarray, shape (T,)
        Number and time of the frame at each place.
    """

    def __init__(
        self, open_from: Callable[[float], Source], numbers: NDArray[Any], t_s: NDArray[Any]
    ) -> None:
        self._open, self._numbers, self._t_s = open_from, numbers, t_s
        self._source: Source | None = None
        self._items: Iterator[Any] = iter(())
        self._at = -1

    def __call__(self, place: int) -> NDArray[Any]:
        """Image of a place.

        Raises
        ------
        SourceError
            If the movie has no such frame.
        """
        wanted = int(self._numbers[place])
        if self._source is None or not self._at < wanted <= self._at + _READ_ON:
            self.close()
            self._source = self._open(float(self._t_s[place]))
            self._items = iter(self._source)
        for item in self._items:
            self._at = item.index
            if item.index == wanted and isinstance(item, Frame):
                return item.image
            if item.index > wanted:
                break
        self.close()
        raise SourceError(f"frame {wanted}: cannot be read from the movie of the run")

    def close(self) -> None:
        """Close the movie."""
        if self._source is not None:
            self._source.close()
        self._source, self._at = None, -1
