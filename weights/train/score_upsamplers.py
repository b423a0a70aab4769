"""How well the upsamplers restore held-out renders, against bicubic resizing.

    python -m weights.train.score_upsamplers --model MODEL [--count 8]

For each size: peak signal-to-noise ratio of bicubic and of the network at its default steps, and sharpness, the mean
gradient where the true picture has its strongest 5 % of gradients, as a share of the true picture's.
"""
import argparse
import json
import math
import pathlib
import random
import time

import torch
import torch.nn.functional as F

from weights.train import sampling, scenes
from weights.train.renderer import render

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
    return torch.stack([torch.from_numpy(picture) for picture in pictures]).permute(0, 3, 1, 2).float() / 127.5 - 1


def score(upscale, size, count):
    truth = renders(size, count, seed=77)
    low = F.avg_pool2d(truth, FACTOR)
    bicubic = F.interpolate(low, scale_factor=FACTOR, mode="bicubic", antialias=True, align_corners=False)
    started = time.monotonic()
    restored = torch.cat([upscale(picture[None]) for picture in low])
    seconds = (time.monotonic() - started) / count
    return {"bicubic_db": decibels(bicubic, truth), "db": decibels(restored, truth),
            "bicubic_sharpness": sharpness(bicubic, truth), "sharpness": sharpness(restored, truth),
            "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--steps-256", type=int, default=sampling.DEFAULTS["sr256_steps"])
    parser.add_argument("--steps-1024", type=int, default=sampling.DEFAULTS["sr1024_steps"])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cascade = sampling.Cascade(args.model)
    for size, upscale in ((256, lambda low: cascade.to_256(low, args.steps_256)),
                          (1024, lambda low: cascade.to_1024(low, args.steps_1024))):
        numbers = score(upscale, size, args.count if size == 256 else max(1, args.count // 2))
        print(json.dumps({"size": size, **{key: round(value, 3) for key, value in numbers.items()}}), flush=True)


if __name__ == "__main__":
    main()
