"""Lets the engine draw captions and the judge read the pictures.

    python -m weights.train.score --engine unclip-cuda --model MODEL [--count 500] [--size 64] [--judge FILE]
                                  [--detailed | --one | --light] [--sheet SHEET.png] [-- ENGINE OPTIONS]

Captions show held-out combinations, colour, shape and relation in plain words; with --detailed also sizes and the
ground; with --one, single objects; with --light, each in one of the four lights, which is named. The seed of the test
split is 7, that of the validation split, on which defaults are chosen, 8. Prints one JSON object: the share of pictures
right in each attribute that the captions name, in shapes, colours and relation together (`all`), and in these where
both shapes are the same (binding, as in the paper's figure 14); with --light also in these and the light together.
"""
import argparse
import json
import pathlib
import random
import subprocess
import tempfile
import time

import numpy as np
import torch
from PIL import Image

from weights.judge import network as judging
from weights.train import captions, scenes

TEST_SEED, VALIDATION_SEED = 7, 8
PLAIN = ["shape_a", "color_a", "shape_b", "color_b", "relation"]
DETAILED = PLAIN + ["size_a", "size_b", "ground"]
LIT = PLAIN + ["light"]
LIGHT_SEED = 70            # of a generator of its own: the scenes are those of the plain captions


def test_scenes(count, seed, one=False):
    rng = random.Random(seed)
    return [scenes.sample_scene(rng, held=False, two_share=0.0) if one else scenes.sample_scene(rng, held=True)
            for _ in range(count)]


def draw(engine, model, texts, size, options=(), seed=1):
    """uint8 [count, size, size, 3] as the engine's PNGs hold them; picture k is drawn with seed + k."""
    with tempfile.TemporaryDirectory() as folder:
        prompts = pathlib.Path(folder) / "captions.txt"
        prompts.write_text("".join(f"{text}\n" for text in texts))
        subprocess.run([engine, "--model", model, "--prompt-file", prompts, "--size", str(size), "--seed", str(seed),
                        "--output", f"{folder}/", "--quiet", *options], check=True, stdout=subprocess.DEVNULL)
        return np.stack([np.asarray(Image.open(path).convert("RGB"))
                         for path in sorted(pathlib.Path(folder).glob("*.png"))])


def to_planes(pictures):
    """uint8 [count, height, width, 3] -> [count, 3, height, width] in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def table(judge, pictures, chosen, names):
    read = torch.cat([judge.read(to_planes(pictures[i:i + 50])) for i in range(0, len(pictures), 50)])
    truth = torch.tensor([scenes.labels(scene) for scene in chosen])
    columns = [scenes.LABEL_NAMES.index(name) for name in names]
    right = read[:, columns] == truth[:, columns]
    numbers = {name: float(right[:, k].float().mean()) for k, name in enumerate(names)}
    together = right[:, [names.index(name) for name in PLAIN]].all(1)
    numbers["all"] = float(together.float().mean())
    for light in scenes.LIGHTS if "light" in names else []:
        some = truth[:, scenes.LABEL_NAMES.index("light")] == scenes.LIGHTS.index(light)
        numbers[f"all_in_{light}"] = float(right[some].all(1).float().mean())
    same = truth[:, 0] == truth[:, 4]
    if same.any():
        numbers["all_where_shapes_are_equal"] = float(together[same].float().mean())
    return numbers


def sheet(pictures, path, columns=10):
    size = pictures.shape[1]
    rows = -(-len(pictures) // columns)
    out = np.full((rows * (size + 2), columns * (size + 2), 3), 40, np.uint8)
    for i, tile in enumerate(pictures):
        y, x = (i // columns) * (size + 2), (i % columns) * (size + 2)
        out[y:y + size, x:x + size] = tile
    Image.fromarray(out).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--judge", type=pathlib.Path, default=judging.TRAINED)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--size", type=int, choices=[64, 256, 1024], default=64)
    parser.add_argument("--seed", type=int, default=TEST_SEED)
    parser.add_argument("--one", action="store_true")
    parser.add_argument("--detailed", action="store_true")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--sheet", type=pathlib.Path)
    parser.add_argument("options", nargs="*", help="options of the engine, after --")
    args = parser.parse_args()
    chosen = test_scenes(args.count, args.seed, args.one)
    lights = random.Random(LIGHT_SEED)
    if args.light:
        chosen = [{**scene, "light": lights.choice(scenes.LIGHTS)} for scene in chosen]
    texts = [captions.detailed_caption(scene) if args.detailed else captions.plain_caption(scene, args.light)
             for scene in chosen]
    started = time.monotonic()
    pictures = draw(args.engine, args.model, texts, args.size, args.options)
    seconds = (time.monotonic() - started) / args.count
    if args.sheet:
        sheet(pictures[:100], args.sheet)
    named = DETAILED if args.detailed else LIT if args.light else PLAIN
    numbers = table(judging.load(args.judge), pictures, chosen, named)
    numbers = {key: round(value, 4) for key, value in numbers.items()}
    print(json.dumps({"count": args.count, "size": args.size, **numbers, "seconds_a_picture": round(seconds, 3)}))


if __name__ == "__main__":
    main()
