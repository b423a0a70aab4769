"""What the upsamplers' inputs suffer in training, so that at sampling they forgive the stage before them.

All functions take and return low-resolution pictures [batch, 3, height, width] in -1..1.
"""
import math

import torch
import torch.nn.functional as F

# ITU-T T.81, annex K: the quantisation steps of luma and chroma, as engine/sampling/degrade.c has them.
LUMA = [
    16,  11,  10,  16,  24,  40,  51,  61,  12,  12,  14,  19,  26,  58,  60,  55,
    14,  13,  16,  24,  40,  57,  69,  56,  14,  17,  22,  29,  51,  87,  80,  62,
    18,  22,  37,  56,  68,  109, 103, 77,  24,  35,  55,  64,  81,  104, 113, 92,
    49,  64,  78,  87,  103, 121, 120, 101, 72,  92,  95,  98,  112, 100, 103, 99,
]
CHROMA = [17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
          24, 26, 56, 99, 99, 99, 99, 99, 47, 66] + [99] * 38
YCBCR = [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]


def blur(pictures, sigma):
    """Separable Gaussian of five taps; sigma [batch] in pixels, 0 = none."""
    batch, _, height, width = pictures.shape
    offsets = torch.arange(-2, 3, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-offsets ** 2 / (2 * sigma.view(-1, 1).clamp(min=1e-2) ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = F.pad(pictures, (2, 2, 2, 2), mode="replicate").transpose(0, 1)
    across = F.conv2d(padded, kernel.view(batch, 1, 1, 5), groups=batch)
    return F.conv2d(across, kernel.view(batch, 1, 5, 1), groups=batch).transpose(0, 1)


def jpeg(pictures, quality):
    """What JPEG loses at a quality [batch] of 1..100: 8 x 8 cosine transform in YCbCr (4:4:4), rounded to its steps."""
    batch, _, height, width = pictures.shape
    like = {"device": pictures.device, "dtype": pictures.dtype}
    colours = torch.tensor(YCBCR, **like)
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality).view(-1, 1, 1).to(pictures.device)
    tables = torch.tensor([LUMA, CHROMA, CHROMA], device=pictures.device)
    steps = ((tables * percent + 50) // 100).clamp(1, 255).view(batch, 3, 1, 8, 1, 8).to(pictures.dtype)
    at = torch.arange(8, **like)
    basis = torch.cos((2 * at + 1) * at.view(8, 1) * math.pi / 16) * torch.where(at == 0, 1.0, math.sqrt(2)).view(8, 1)
    basis = basis / math.sqrt(8)
    levels = torch.einsum("kc,bchw->bkhw", colours, pictures * 127.5)
    levels[:, 0] -= 0.5
    padded = F.pad(levels, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = padded.view(batch, 3, padded.shape[2] // 8, 8, padded.shape[3] // 8, 8)
    coefficients = torch.einsum("uy,bcmynx,vx->bcmunv", basis, blocks, basis)
    coefficients = torch.round(coefficients / steps) * steps
    levels = torch.einsum("uy,bcmunv,vx->bcmynx", basis, coefficients, basis).reshape(padded.shape)
    levels = levels[:, :, :height, :width]
    levels = levels + torch.tensor([0.5, 0.0, 0.0], **like).view(1, 3, 1, 1)
    return (torch.einsum("ck,bkhw->bchw", torch.linalg.inv(colours), levels) / 127.5).clamp(-1, 1)


def smooth_noise(shape, cell, device):
    """Noise of standard deviation near 1 that varies over about `cell` pixels."""
    batch, channels, height, width = shape
    coarse = torch.randn(batch, channels, height // cell + 2, width // cell + 2, device=device)
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)


def wobble(pictures, amount):
    """Moves the pixels by a smooth random field of `amount` [batch] pixels: a decoder's uneven outlines."""
    batch, _, height, width = pictures.shape
    field = smooth_noise((batch, 2, height, width), 4, pictures.device) * amount.view(-1, 1, 1, 1)
    rows = torch.linspace(-1, 1, height, device=pictures.device).view(1, -1, 1).expand(batch, height, width)
    columns = torch.linspace(-1, 1, width, device=pictures.device).view(1, 1, -1).expand(batch, height, width)
    grid = torch.stack([columns + field[:, 0] * 2 / width, rows + field[:, 1] * 2 / height], dim=-1)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=True)


def sometimes(batch, share, most, device):
    """[batch] numbers in 0..most, zero for all but a share of the batch."""
    return torch.rand(batch, device=device) * most * (torch.rand(batch, device=device) < share)


def for_256(pictures):
    """The paper's Gaussian blur (sigma 0.6), and the decoder's own errors: wobble and a little noise."""
    batch, device = len(pictures), pictures.device
    pictures = wobble(pictures, sometimes(batch, 0.35, 0.4, device))
    pictures = blur(pictures, sometimes(batch, 0.5, 1.2, device).clamp(max=0.6))
    return pictures + torch.randn_like(pictures) * sometimes(batch, 0.4, 0.05, device).view(-1, 1, 1, 1)


def for_1024(pictures):
    """After BSR: blur, resizing there and back, noise, JPEG, in random strength; and a trace of wobble.

    Few and weak, because what cannot be undone is answered with a soft edge. The blur alone is as strong as what the
    stage before draws is soft, for where an edge is can still be told from it.
    """
    batch, device = len(pictures), pictures.device
    pictures = wobble(pictures, sometimes(batch, 0.25, 0.25, device))
    pictures = blur(pictures, sometimes(batch, 0.5, 1.3, device))
    if torch.rand(()) < 0.2:
        size = pictures.shape[-2:]
        factor = float(0.6 + 0.4 * torch.rand(()))
        mode = "bilinear" if torch.rand(()) < 0.5 else "bicubic"
        smaller = F.interpolate(pictures, scale_factor=factor, mode=mode, antialias=True, align_corners=False)
        pictures = F.interpolate(smaller, size=size, mode=mode, align_corners=False)
    pictures = pictures + torch.randn_like(pictures) * sometimes(batch, 0.4, 0.03, device).view(-1, 1, 1, 1)
    if torch.rand(()) < 0.15:
        pictures = jpeg(pictures, torch.randint(60, 96, (batch,), device=device))
    return pictures
