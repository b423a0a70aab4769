"""How well the upsamplers restore held-out renders, against bicubic resizing.

    python -m weights.train.score_upsamplers --engine unclip-cuda --model MODEL [--count 8] [-- ENGINE OPTIONS]

For each size: peak signal-to-noise ratio of bicubic and of the engine's picture at the default steps, and sharpness as
a share of the true picture's, for all pictures and for each ground.

`sharpness` is the mean length of the brightness gradient over each low-resolution pixel, averaged where the true
picture has the strongest 5 % of them. A low-resolution pixel says that there is an edge or grain in it and how strong,
not at which of its FACTOR x FACTOR pixels: this is what an upsampler can know.
`sharpness_at_pixels` asks for more: the gradient at exactly the pixels where the true picture's is strongest. On boards
and outlines both agree. On grass those pixels are single blades, which the low-resolution picture does not determine:
the true picture itself, moved by 3 and 5 pixels, has a third there (`sharpness_at_pixels_of_moved_truth`), so that
equal grain at other places counts as blur.
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
MOVE = (3, 5)


def gradient(pictures):
    """Length of the brightness gradient, [batch, height - 1, width - 1]."""
    grey = pictures.mean(1)
    down, right = grey[:, 1:, :-1] - grey[:, :-1, :-1], grey[:, :-1, 1:] - grey[:, :-1, :-1]
    return (down.square() + right.square()).sqrt()


def decibels(pictures, truth):
    """Of pictures in -1..1, as for 8-bit ones in 0..255."""
    return 10 * math.log10(4 / float(F.mse_loss(pictures, truth)))


def share_where_strongest(values, truth):
    """Mean of `values` as a share of the truth's where the truth has its strongest EDGE_SHARE; mean over pictures."""
    shares = []
    for given, true in zip(values.flatten(1), truth.flatten(1)):
        strong = true > true.kthvalue(int(true.numel() * (1 - EDGE_SHARE))).values
        shares.append(float(given[strong].mean() / true[strong].mean()))
    return sum(shares) / len(shares)


def sharpness(pictures, truth):
    """Tolerant of where in a low-resolution pixel an edge is."""
    return share_where_strongest(F.avg_pool2d(gradient(pictures), FACTOR), F.avg_pool2d(gradient(truth), FACTOR))


def sharpness_at_pixels(pictures, truth):
    return share_where_strongest(gradient(pictures), gradient(truth))


def renders(size, count, seed):
    """Pictures of held-out scenes, and the ground of each."""
    rng = random.Random(seed)
    pictures, grounds = [], []
    for _ in range(count):
        scene = scenes.sample_scene(rng, held=True)
        pictures.append(render(scenes.layout(rng, scene), size, samples=2))
        grounds.append(scene["ground"])
    return to_planes(np.stack(pictures)), grounds


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
    truth, grounds = renders(size, count, seed=77)
    low = to_bytes(F.avg_pool2d(truth, FACTOR))
    bicubic = F.interpolate(to_planes(low), scale_factor=FACTOR, mode="bicubic", antialias=True, align_corners=False)
    restored = torch.cat([upscaled(args.engine, args.model, picture, size, args.options) for picture in low])
    yield {"size": size, "count": count, **numbers(restored, bicubic, truth)}
    for ground in scenes.GROUNDS:
        some = [k for k, name in enumerate(grounds) if name == ground]
        if some:
            yield {"size": size, "count": len(some), "ground": ground,
                   **numbers(restored[some], bicubic[some], truth[some])}


def numbers(restored, bicubic, truth):
    moved = torch.roll(truth, MOVE, (2, 3))
    measured = {"bicubic_db": decibels(bicubic, truth), "db": decibels(restored, truth),
                "bicubic_sharpness": sharpness(bicubic, truth), "sharpness": sharpness(restored, truth),
                "bicubic_sharpness_at_pixels": sharpness_at_pixels(bicubic, truth),
                "sharpness_at_pixels": sharpness_at_pixels(restored, truth),
                "sharpness_at_pixels_of_moved_truth": sharpness_at_pixels(moved, truth)}
    return {key: round(value, 3) for key, value in measured.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("options", nargs="*", help="options of the engine, after --")
    args = parser.parse_args()
    for size, count in ((256, args.count), (1024, max(1, args.count // 2))):
        for line in score(args, size, count):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
