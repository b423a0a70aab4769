"""Draws captions and lets the judge read the pictures.

    python -m weights.train.score --model MODEL --judge judge.pt [--count 200] [--sheet SHEET.png] [--full]
    python -m weights.train.score --pictures FOLDER --judge judge.pt [--count 200]

The first form draws with torch. The second reads FOLDER/0000.png, 0001.png, ... of any size, drawn elsewhere from the
same captions, which `--list` prints. Captions show held-out combinations in plain words; with --one, single objects.
The seed of the test split is 7, that of the validation split, for choosing defaults, 8.
"""
import argparse
import json
import pathlib
import random
import time

import numpy as np
import torch
from PIL import Image

from weights.judge import network as judging
from weights.train import captions, sampling, scenes

BATCH = 25
CAPTION_LABELS = ["shape_a", "color_a", "shape_b", "color_b", "relation"]


def test_scenes(count, seed, one):
    rng = random.Random(seed)
    return [scenes.sample_scene(rng, held=False, two_share=0.0) if one else scenes.sample_scene(rng, held=True)
            for _ in range(count)]


def draw(model, texts, args):
    """[count, 3, size, size] in -1..1, and the seconds that each stage took."""
    cascade = sampling.Cascade(model)
    parts, seconds = [], {"prior": 0.0, "decoder": 0.0, "to_256": 0.0, "to_1024": 0.0}
    for start in range(0, len(texts), BATCH):
        batch = texts[start:start + BATCH]
        times = [time.monotonic()]
        embeddings = cascade.embed(batch, args.prior_steps, args.prior_scale, seed=start)
        times.append(time.monotonic())
        pictures = cascade.decode(batch, embeddings, args.steps, args.scale, seed=start)
        times.append(time.monotonic())
        if args.full:
            pictures = cascade.to_256(pictures, seed=start)
            times.append(time.monotonic())
            pictures = torch.cat([cascade.to_1024(one[None], seed=start) for one in pictures])
            times.append(time.monotonic())
        for name, begin, end in zip(seconds, times, times[1:]):
            seconds[name] += (end - begin) / len(texts)
        parts.append(pictures)
    return torch.cat(parts), seconds


def read_pictures(folder, count):
    arrays = [np.asarray(Image.open(folder / f"{i:04d}.png").convert("RGB")) for i in range(count)]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1


def table(judge, pictures, chosen):
    """Shares of right pictures: each attribute that the caption names, and all of them together."""
    read = torch.cat([judge.read(part) for part in pictures.split(100)])
    truth = torch.tensor([scenes.labels(scene) for scene in chosen])
    columns = [scenes.LABEL_NAMES.index(name) for name in CAPTION_LABELS]
    right = read[:, columns] == truth[:, columns]
    numbers = {name: float(right[:, k].float().mean()) for k, name in enumerate(CAPTION_LABELS)}
    numbers["all"] = float(right.all(1).float().mean())
    same = truth[:, 0] == truth[:, 4]
    if same.any():
        numbers["all_where_shapes_are_equal"] = float(right.all(1)[same].float().mean())
    return numbers


def sheet(pictures, path, columns=10):
    tiles = sampling.to_bytes(pictures)
    size = tiles.shape[1]
    rows = -(-len(tiles) // columns)
    out = np.full((rows * (size + 2), columns * (size + 2), 3), 40, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (size + 2), (i % columns) * (size + 2)
        out[y:y + size, x:x + size] = tile
    Image.fromarray(out).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path)
    parser.add_argument("--judge", type=pathlib.Path)
    parser.add_argument("--list", action="store_true", help="print the captions, one a line, and stop")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--one", action="store_true")
    parser.add_argument("--full", action="store_true", help="judge after both upsamplers")
    parser.add_argument("--steps", type=int, default=sampling.DEFAULTS["steps"])
    parser.add_argument("--scale", type=float, default=sampling.DEFAULTS["cfg_scale"])
    parser.add_argument("--prior-steps", type=int, default=sampling.DEFAULTS["prior_steps"])
    parser.add_argument("--prior-scale", type=float, default=sampling.DEFAULTS["prior_cfg_scale"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fast", action="store_true", help="bfloat16 autocast: for sweeps, not for the table")
    parser.add_argument("--sheet", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    chosen = test_scenes(args.count, args.seed, args.one)
    texts = [captions.plain_caption(scene) for scene in chosen]
    if args.list:
        print("\n".join(texts))
        return
    seconds = {}
    if args.pictures:
        pictures = read_pictures(args.pictures, args.count)
    else:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.fast):
            pictures, seconds = draw(args.model, texts, args)
        pictures = pictures.float()
    if args.sheet:
        sheet(pictures[:100], args.sheet)
    numbers = table(judging.load(args.judge), pictures, chosen) if args.judge else {}
    print(json.dumps({"count": args.count, **{key: round(value, 4) for key, value in numbers.items()},
                      "seconds": {key: round(value, 3) for key, value in seconds.items() if value}}))


if __name__ == "__main__":
    main()
