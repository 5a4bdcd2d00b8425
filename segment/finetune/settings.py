"""How to train on a laboratory's labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from insitrack.io.errors import SettingsError
from insitrack.segment.base import SegmentConfig

if TYPE_CHECKING:
    from insitrack.segment.training.yolo import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings:
    """How to train on a laboratory's labels.

    Parameters
    ----------
    base : str
        Shipped model, checkpoint (``.pt``) or exported model with its checkpoint beside it to start from, or
        ``scratch``.
    epochs : int
        Passes, where `minutes` does not limit them.
    minutes : float, optional
        Wall-clock time to train, in place of `epochs`.
    threads : int
        Processor threads; 0 takes all cores.
    device : str
        ``auto`` takes a GPU where there is one, ``cpu``, or the number of a GPU.
    val : tuple of str
        Names of images or groups to judge by, ``*`` and ``?`` allowed; none: drawn.
    val_share : float
        Share of the images to judge by, where they are drawn.
    leave_out : tuple of str
        Names of images or groups that are neither trained on nor judged by, to test the model on
        afterwards.
    synthetic_share : float
        Share of drawn images among those trained on, 0 to less than 1.
    synthetic_pictures : int
        How many are drawn, once.
    scale : float or "auto"
        Pixels that the network sees per pixel of the image; `auto`: as the base model finds out.
    contrast : str
        ``dark``, ``bright`` or ``auto``, as `SegmentConfig`.
    image_px : int
        Side of the tiles that the images are cut into, px of what the network sees; a multiple of 32.
    batch : int
        Tiles per step.
    pictures_per_epoch : int
        Tiles per epoch; 0: as many as are labelled, from 200 to 1000: short epochs, so that many are judged.
    learning_rate : float
        AdamW's, at its highest; from random weights four times as much.
    seed : int
        Of everything random.
    """

    base: str = "loops"
    epochs: int = 24
    minutes: float | None = None
    threads: int = 0
    device: str = "auto"
    val: tuple[str, ...] = ()
    val_share: float = 0.2
    leave_out: tuple[str, ...] = ()
    synthetic_share: float = 0.5
    synthetic_pictures: int = 300
    scale: float | str = "auto"
    contrast: str = "auto"
    image_px: int = 320
    batch: int = 8
    pictures_per_epoch: int = 0
    learning_rate: float = 4e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.synthetic_share < 1:
            raise SettingsError(
                f"--synth-share {self.synthetic_share:g}: expected at least 0 and less than 1"
            )
        if self.epochs < 1 or (self.minutes is not None and not self.minutes > 0):
            raise SettingsError(
                f"--epochs {self.epochs}, --minutes {self.minutes}: expected at least one epoch and a"
                " positive time"
            )
        if self.image_px < 64 or self.image_px % 32:
            raise SettingsError(f"--image-px {self.image_px}: expected a multiple of 32, at least 64")
        SegmentConfig(scale=self.scale, contrast=self.contrast)

    @property
    def n_threads(self) -> int:
        """Processor threads."""
        return self.threads or os.cpu_count() or 1

    def segment_config(self, **more: Any) -> SegmentConfig:
        """Make the settings of the segmenter, as a user of the model would have them."""
        return SegmentConfig(scale=self.scale, contrast=self.contrast, threads=self.threads, **more)

    def training(self, n_tiles: int, scratch: bool) -> TrainSettings:
        """Make the settings of the trainer."""
        import torch  # not before labels and settings are known to be good

        from insitrack.segment.training.yolo import TrainSettings

        on_gpu = self.device == "auto" and torch.cuda.is_available()
        return TrainSettings(
            network=self.base,
            hours=None if self.minutes is None else self.minutes / 60,
            epochs=self.epochs,
            image_px=self.image_px,
            batch=self.batch,
            pictures_per_epoch=self.pictures_per_epoch or int(np.clip(n_tiles, 200, 1000)),
            learning_rate=self.learning_rate * (4 if scratch else 1),
            warmup_epochs=0.5,
            mosaic=0.3,
            scale=0.3,
            threads=self.n_threads,
            synthetic_share=self.synthetic_share,
            device="0" if on_gpu else "cpu" if self.device == "auto" else self.device,
            seed=self.seed,
        )
