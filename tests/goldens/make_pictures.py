"""Writes the small input pictures of awkward sizes and modes that the image encoder's goldens start from.

    python make_pictures.py OUT_DIR

Waves with hard diagonal edges and some noise: a wrong resize, crop or channel order shows in every one of them.
"""
import argparse
import os

import numpy as np
from PIL import Image

PICTURES = {  # name: width, height, PIL mode
    "tall-rgb": (37, 91, "RGB"),
    "wide-rgb": (120, 50, "RGB"),
    "square-rgba": (64, 64, "RGBA"),
    "small-grey": (21, 17, "L"),
    "exact-rgb": (32, 32, "RGB"),
    "wide-grey-alpha": (45, 30, "LA"),
    "palette": (50, 40, "P"),
}


def planes(width, height, channels, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    out = []
    for c in range(channels):
        wave = 127.5 + 80 * np.sin(x / (5 + 3 * c) + c) + 60 * np.cos(y / (7 + c))
        wave[(x + 2 * y) % 40 < 9] += 90
        out.append(wave + rng.normal(0, 6, wave.shape))
    return np.clip(np.stack(out, -1), 0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir")
    out_dir = parser.parse_args().out_dir
    os.makedirs(out_dir, exist_ok=True)
    for seed, (name, (width, height, mode)) in enumerate(PICTURES.items(), 1):
        channels = 3 if mode == "P" else len(mode)
        pixels = planes(width, height, channels, seed)
        picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        if mode == "P":
            picture = picture.quantize(32)
        assert picture.mode == mode, (picture.mode, mode)
        picture.save(f"{out_dir}/{name}.png", optimize=True)


if __name__ == "__main__":
    main()
