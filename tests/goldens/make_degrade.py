"""Goldens of pictures that are not drawn but given: resizing to a stage's size, and the degradations.

    python make_degrade.py OUT_DIR WEIGHTS_TRAIN_DIR

Each is computed twice, by libraries that do not know the engine: torch's interpolation and convolution, libjpeg's own
tables and files (through Pillow), sums in float64 by numpy. weights/train/degrade.py is held against the same numbers.
"""
import io
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file

HEIGHT, WIDTH = 29, 45
QUALITIES = [5, 50, 95]


def picture():
    """Smooth colours, edges and noise, 8 bits."""
    random = np.random.default_rng(11)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = np.stack([120 + 90 * np.sin(x / 7), 128 + 2.5 * (y - 18), 100 + 60 * np.cos((x + y) / 5)], axis=2)
    planes[8:20, 16:30] = (230, 20, 40)
    return np.clip(planes + random.normal(0, 6, planes.shape), 0, 255).astype(np.uint8)


def square(rgb):
    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    planes = rgb[top : top + side, left : left + side].transpose(2, 0, 1)
    return torch.from_numpy(planes.astype(np.float64) / 127.5 - 1)


def area(planes, size):
    """Means of the exact windows: differences of the interpolated running sum."""
    def along(values):
        sums = np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(values, axis=-1)], axis=-1)
        count = values.shape[-1]
        edges = np.arange(size + 1) * count / size
        at = np.apply_along_axis(lambda line: np.interp(edges, np.arange(count + 1), line), -1, sums)
        return np.diff(at, axis=-1) * size / count
    across = along(planes.numpy())
    return torch.from_numpy(along(across.swapaxes(1, 2)).swapaxes(1, 2).copy())


def blur(planes, radius, sigma):
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets.view(-1, 1) ** 2 + offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, -1, -1)
    return F.conv2d(F.pad(planes[None], (radius,) * 4, mode="replicate"), kernel, groups=3)[0]


def there_and_back(planes, size, mode):
    options = {"mode": mode, "antialias": True, "align_corners": False}
    return F.interpolate(F.interpolate(planes[None], size=size, **options), size=planes.shape[1:], **options)[0]


def libjpeg(rgb, quality):
    """The tables that libjpeg uses at a quality and the picture that it gives back, without chroma subsampling."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling=0)
    image = Image.open(file)
    tables = [np.array(image.quantization[i]).reshape(8, 8) for i in (0, 1)]
    return tables, np.array(image)


def jpeg(planes, tables):
    """The standard's formulas, coefficient by coefficient in float64."""
    r, g, b = planes.numpy() * 127.5 + 127.5
    cb, cr = (b - (y := 0.299 * r + 0.587 * g + 0.114 * b)) / 1.772, (r - y) / 1.402
    height, width = y.shape
    pad = ((0, -height % 8), (0, -width % 8))
    at = np.arange(8)
    wave = np.cos((2 * at + 1) * at[:, None] * np.pi / 16)
    scale = np.where(at == 0, np.sqrt(0.5), 1.0) / 2
    out = []
    for plane, table in zip((y - 128, cb, cr), (tables[0], tables[1], tables[1])):
        plane = np.pad(plane, pad, mode="edge")
        for top in range(0, plane.shape[0], 8):
            for left in range(0, plane.shape[1], 8):
                block = plane[top : top + 8, left : left + 8].copy()
                f = scale[:, None] * scale * np.einsum("yx,uy,vx->uv", block, wave, wave)
                f = np.round(f / table) * table
                plane[top : top + 8, left : left + 8] = np.einsum("uv,uy,vx->yx", scale[:, None] * scale * f, wave, wave)
        out.append(plane[:height, :width])
    y, cb, cr = out[0] + 128, out[1], out[2]
    g = (y - 0.299 * (y + 1.402 * cr) - 0.114 * (y + 1.772 * cb)) / 0.587
    return torch.from_numpy(np.clip(np.stack([y + 1.402 * cr, g, y + 1.772 * cb]) / 127.5 - 1, -1, 1))


def check_training(train, planes, tables):
    sys.path.insert(0, train)
    import degrade
    batch = planes[None].repeat(len(QUALITIES), 1, 1, 1)
    ours = degrade.jpeg(batch, torch.tensor(QUALITIES))
    for k, quality in enumerate(QUALITIES):
        off = (ours[k] - jpeg(planes, tables[quality])).abs()
        assert (off > 1e-4).float().mean() < 1e-3, (quality, off.max())
    five = degrade.blur(planes[None], torch.tensor([0.6], dtype=planes.dtype))[0]
    assert (five - blur(planes, 2, 0.6)).abs().max() < 1e-6


def main(out_dir, train):
    rgb = picture()
    whole = torch.from_numpy(rgb.transpose(2, 0, 1).astype(np.float64) / 127.5 - 1)
    cropped = square(rgb)
    tensors = {"picture": rgb}
    for size in (7, 16, 29):
        tensors[f"square.{size}"] = area(cropped, size)
    tensors["square.64"] = F.interpolate(cropped[None], size=(64, 64), mode="bicubic", antialias=True,
                                         align_corners=False)[0].clamp(-1, 1)
    tensors["blur.paper"] = blur(whole, 1, 0.6)
    tensors["blur.bsr"] = blur(whole, 2, 0.9)
    for mode in ("bilinear", "bicubic"):
        tensors[f"resize.{mode}"] = there_and_back(whole, (round(0.7 * HEIGHT), round(0.7 * WIDTH)), mode)
    tables = {}
    for quality in QUALITIES:
        tables[quality], decoded = libjpeg(rgb, quality)
        tensors[f"tables.{quality}"] = np.stack(tables[quality]).astype(np.int32)
        tensors[f"jpeg.{quality}"] = jpeg(whole, tables[quality])
        tensors[f"libjpeg.{quality}"] = decoded
        levels = np.abs((tensors[f"jpeg.{quality}"].numpy() * 127.5 + 127.5).transpose(1, 2, 0) - decoded)
        print(f"quality {quality}: libjpeg's picture differs by {levels.mean():.3f} levels on average, {levels.max():.1f} at most")
    check_training(train, whole, tables)
    as_numpy = {k: v if isinstance(v, np.ndarray) else v.numpy().astype(np.float32) for k, v in tensors.items()}
    save_file({k: np.ascontiguousarray(v) for k, v in as_numpy.items()}, f"{out_dir}/degrade.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
