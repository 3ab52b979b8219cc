"""An autoencoder that begins as the principal components of its patches, so that none is to learn.

A patch of p x p grey values is one place from the start (``autoencoder.patch_px``). With one level
a linear map of patches to a few numbers and back lies within reach of the weights, and the best one
is known without a step: here the network is set to it, and training goes on from there with what
neighbouring places tell. Latents then have mean 0 and spread 1 from the start.

The residual blocks begin as no change at all. What stands between them and the last convolution of
each half, a normalisation and SiLU, is made linear by two tricks: each number is carried with both
signs, for ``silu(x) - silu(-x) = x``; and beside them stand constants so large that the spread of a
group is theirs whatever the film. Shapes: C latent channels, W channels of the network, N patches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CONSTANT = 10.0
"""Our choice: the spread of a group then hangs on the film by about one part in a hundred."""
SPREAD_LOG = -6.0
"""The logarithm of the variance of latents, as of other untrained autoencoders."""


@torch.no_grad()
def begin_as_components(autoencoder: Any, patches: torch.Tensor) -> None:
    """Set the weights of an autoencoder of one level to the first C components of its patches.

    Args:
        patches: [N, p²] grey values in -1..1.
    """
    components = int(autoencoder.config.latent_channels)
    mean = patches.mean(dim=0)
    variances, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    axes = vectors.flip(1)[:, :components]
    spread = variances.flip(0)[:components].clamp_min(1e-12).sqrt()
    for block in autoencoder.modules():
        if type(block).__name__ == "ResnetBlock2D":
            _set(block.conv2, torch.zeros_like(block.conv2.weight[:, :, 0, 0]))
    unchanged = torch.eye(components)
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    _carry(encoder, (axes / spread).T, -(mean @ axes) / spread)
    _read(encoder, torch.cat([unchanged, torch.zeros_like(unchanged)]))
    both = torch.zeros(2 * components, 2 * components)
    both[:components, :components] = unchanged
    _set(autoencoder.quant_conv, both)
    autoencoder.quant_conv.bias[components:] = SPREAD_LOG
    _set(autoencoder.post_quant_conv, unchanged)
    _carry(decoder, unchanged, torch.zeros(components))
    _read(decoder, axes * spread)
    decoder.conv_out.bias.copy_(mean)


def _set(convolution: nn.Conv2d, weights: torch.Tensor) -> None:
    """Let a convolution be this map [out, in] at each place alone, without a bias."""
    middle = convolution.weight.shape[-1] // 2
    nn.init.zeros_(convolution.weight)
    convolution.weight[:, :, middle, middle] = weights
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def _roles(half: Any) -> torch.Tensor:
    """[W]: which number each channel carries: C with a plus, C with a minus, then constants; each
    group of the normalisation gets as many of each kind as any other."""
    groups = int(half.conv_norm_out.num_groups)
    width = int(half.conv_norm_out.num_channels)
    return torch.arange(width).view(width // groups, groups).T.flatten()


def _constants(half: Any, carried: int) -> torch.Tensor:
    """[W] by role: zero where something is carried, else plus and minus, as many in each group."""
    groups, width = int(half.conv_norm_out.num_groups), int(half.conv_norm_out.num_channels)
    rows = torch.arange(width - carried) // groups
    return torch.cat([torch.zeros(carried), CONSTANT * (1.0 - 2.0 * (rows % 2))])


def _carry(half: Any, weights: torch.Tensor, bias: torch.Tensor) -> None:
    """The first convolution: ``weights`` [C, in], ``bias`` [C] with both signs, and constants."""
    roles, carried = _roles(half), 2 * len(weights)
    constants = _constants(half, carried)
    rest = torch.zeros(len(roles) - carried, weights.shape[1])
    _set(half.conv_in, torch.cat([weights, -weights, rest])[roles])
    half.conv_in.bias.copy_((torch.cat([bias, -bias, rest[:, 0]]) + constants)[roles])


def _read(half: Any, weights: torch.Tensor) -> None:
    """The last convolution: ``weights`` [out, C] of what is carried, whose scale the normalisation
    has divided by a group's spread: that of its constants, and of the others' spread of 1."""
    roles, components = _roles(half), weights.shape[1]
    carried = 2 * components
    squares = _constants(half, carried).square()
    squares[:carried] = 1.0
    groups = int(half.conv_norm_out.num_groups)
    spread = (
        squares[roles].view(groups, -1).mean(dim=1).sqrt().repeat_interleave(len(roles) // groups)
    )
    rest = torch.zeros(len(weights), len(roles) - carried)
    _set(half.conv_out, torch.cat([weights, -weights, rest], dim=1)[:, roles] * spread)
