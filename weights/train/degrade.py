"""What the upsamplers' inputs suffer in training, so that at sampling they forgive the stage before them.

All functions take and return low-resolution pictures [batch, 3, height, width] in -1..1.
"""
import torch
import torch.nn.functional as F


def blur(pictures, sigma):
    """Separable Gaussian of five taps; sigma [batch] in pixels, 0 = none."""
    batch, _, height, width = pictures.shape
    offsets = torch.arange(-2, 3, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-offsets ** 2 / (2 * sigma.view(-1, 1).clamp(min=1e-2) ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = F.pad(pictures, (2, 2, 2, 2), mode="replicate").transpose(0, 1)
    across = F.conv2d(padded, kernel.view(batch, 1, 1, 5), groups=batch)
    return F.conv2d(across, kernel.view(batch, 1, 5, 1), groups=batch).transpose(0, 1)


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
    """After BSR: blur, resizing there and back, noise, in random strength (without its JPEG); and a trace of wobble.

    Few and weak, because what cannot be undone is answered with a soft edge.
    """
    batch, device = len(pictures), pictures.device
    pictures = wobble(pictures, sometimes(batch, 0.25, 0.25, device))
    pictures = blur(pictures, sometimes(batch, 0.4, 0.9, device))
    if torch.rand(()) < 0.2:
        size = pictures.shape[-2:]
        factor = float(0.6 + 0.4 * torch.rand(()))
        mode = "bilinear" if torch.rand(()) < 0.5 else "bicubic"
        smaller = F.interpolate(pictures, scale_factor=factor, mode=mode, antialias=True, align_corners=False)
        pictures = F.interpolate(smaller, size=size, mode=mode, align_corners=False)
    return pictures + torch.randn_like(pictures) * sometimes(batch, 0.4, 0.03, device).view(-1, 1, 1, 1)
