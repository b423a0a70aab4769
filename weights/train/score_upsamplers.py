"""How well the upsamplers restore held-out renders, against bicubic resizing.

    python -m weights.train.score_upsamplers --engine unclip-cuda --model MODEL [--count 8] [-- ENGINE OPTIONS]

For each size: peak signal-to-noise ratio of bicubic and of the engine's picture at the default steps, and sharpness,
the mean gradient where the true picture has its strongest 5 % of gradients, as a share of the true picture's.
"""
import argparse
import json
import math
import pathlib
import random
import subprocess
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from weights.train import scenes
from weights.train.renderer import render
from weights.train.score import to_planes

FACTOR = 4
EDGE_SHARE = 0.05


def gradient(pictures):
    """Length of the brightness gradient, [batch, height - 1, width - 1]."""
    grey = pictures.mean(1)
    down, right = grey[:, 1:, :-1] - grey[:, :-1, :-1], grey[:, :-1, 1:] - grey[:, :-1, :-1]
    return (down.square() + right.square()).sqrt()


def decibels(pictures, truth):
    """Of pictures in -1..1, as for 8-bit ones in 0..255."""
    return 10 * math.log10(4 / float(F.mse_loss(pictures, truth)))


def sharpness(pictures, truth):
    edges = gradient(truth)
    strong = edges > edges.flatten().kthvalue(int(edges.numel() * (1 - EDGE_SHARE))).values
    return float(gradient(pictures)[strong].mean() / edges[strong].mean())


def renders(size, count, seed):
    rng = random.Random(seed)
    pictures = [render(scenes.layout(rng, scenes.sample_scene(rng, held=True)), size, samples=2) for _ in range(count)]
    return to_planes(np.stack(pictures))


def to_bytes(planes):
    """[count, 3, height, width] in -1..1 -> uint8 [count, height, width, 3]."""
    return ((planes.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def upscaled(engine, model, low, size, options):
    """The engine's upsampler on bytes [size / 4, size / 4, 3]; [1, 3, size, size] in -1..1."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = pathlib.Path(folder) / "low.png", pathlib.Path(folder) / "high.png"
        Image.fromarray(low).save(before)
        subprocess.run([engine, "upscale", before, "--model", model, "--size", str(size),
                        "--from-size", str(size // FACTOR), "--seed", "1", "--output", after, "--quiet", *options],
                       check=True, stdout=subprocess.DEVNULL)
        return to_planes(np.asarray(Image.open(after))[None])


def score(args, size, count):
    truth = renders(size, count, seed=77)
    low = to_bytes(F.avg_pool2d(truth, FACTOR))
    bicubic = F.interpolate(to_planes(low), scale_factor=FACTOR, mode="bicubic", antialias=True, align_corners=False)
    restored = torch.cat([upscaled(args.engine, args.model, picture, size, args.options) for picture in low])
    return {"bicubic_db": decibels(bicubic, truth), "db": decibels(restored, truth),
            "bicubic_sharpness": sharpness(bicubic, truth), "sharpness": sharpness(restored, truth)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("options", nargs="*", help="options of the engine, after --")
    args = parser.parse_args()
    for size, count in ((256, args.count), (1024, max(1, args.count // 2))):
        numbers = score(args, size, count)
        print(json.dumps({"size": size, **{key: round(value, 3) for key, value in numbers.items()}}), flush=True)


if __name__ == "__main__":
    main()
