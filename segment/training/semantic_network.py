"""The pixel-wise network and its loss."""

from __future__ import annotations

from dataclasses import dataclass

import segmentation_models_pytorch as smp
import torch
from torch import nn

from insitrack.segment.training.semantic_data import CHANNELS

_PARTICLE_WEIGHT = 2.0
"""Weight of a pixel of a particle against one beside it: there are few of them, and lines are learned long
before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticTrainSettings:
    """How to train.

    Parameters
    ----------
    encoder : str
        An encoder of segmentation-models-pytorch; its weights start from random numbers.
    decoder : tuple of int
        Channels of the decoder from stride 8 to stride 2.
    hours : float
        Wall-clock time to spend, that before a resumption included; the learning rate falls to nothing at its
        end.
    image_px : int
        Side of the training images, cut out of those of the data set.
    batch : int
        Images per step.
    learning_rate : float
        AdamW's, at its highest.
    average : float
        Share of the running mean of the weights that a step keeps; the mean is what is exported.
    inverted : float
        Share of images shown as their negative.
    threads : int
        Processor threads.
    steps_per_round : int
        Steps between two looks at the clock.
    seed : int
        Of everything random.
    """

    encoder: str = "timm-regnetx_002"
    decoder: tuple[int, ...] = (96, 64, 48)
    hours: float = 0.6
    image_px: int = 256
    batch: int = 8
    learning_rate: float = 3e-3
    average: float = 0.997
    inverted: float = 0.15
    threads: int = 1
    steps_per_round: int = 50
    seed: int = 0


class SemanticNetwork(nn.Module):  # type: ignore[misc]  # torch's types are left out of the check
    """A U-net that ends at half the resolution and gives four sub-pixels at each place.

    It takes a third of the time of a full one.

    Each channel has its own logit: classes do not exclude each other, because a line may cross a precipitate.

    Parameters
    ----------
    chosen : SemanticTrainSettings
        Encoder and decoder.
    channels : int
        Outputs.
    """

    def __init__(self, chosen: SemanticTrainSettings, channels: int = len(CHANNELS)) -> None:
        super().__init__()
        depth = len(chosen.decoder) + 1
        # the last, full-resolution block is built and taken off again: it would cost half of the time
        whole = smp.Unet(
            chosen.encoder,
            encoder_weights=None,
            encoder_depth=depth,
            decoder_channels=(*chosen.decoder, 16),
            in_channels=1,
            classes=channels,
        )
        self.encoder, self.decoder = whole.encoder, whole.decoder
        self.decoder.blocks = self.decoder.blocks[:-1]
        self.head = nn.Conv2d(chosen.decoder[-1], 4 * channels, 3, padding=1)
        nn.init.constant_(self.head.bias, -2.0)  # most pixels are background
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, channels, H, W) of images (B, 1, H, W) in 0..1."""
        return self.shuffle(self.head(self.decoder(self.encoder(x))))


def pixel_loss(logits: torch.Tensor, truth: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice of each channel, over the pixels that count.

    Parameters
    ----------
    logits, truth : Tensor, shape (B, C, H, W)
        Outputs, and 0 or 1.
    counts : Tensor, shape (B, 1, H, W)
        1 where a pixel counts, else 0.
    """
    particles = torch.tensor([name in ("precipitate", "void") for name in CHANNELS])[None, :, None, None]
    weight = counts * (1 + (_PARTICLE_WEIGHT - 1) * truth * particles)
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight
    chance = torch.sigmoid(logits) * counts
    dims = (0, 2, 3)
    dice = 1 - (2 * (chance * truth).sum(dims) + 50) / ((chance + truth * counts).sum(dims) + 50)
    return 4 * entropy.sum() / (counts.sum() * logits.shape[1]) + dice.mean()
