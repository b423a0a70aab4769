"""Measures what the shipped model makes of pictures that it never saw: reconstruction, variations, text diffs, probes.

    python bench/figures.py --engine build/release/bin/unclip-cuda [--judge FILE] [--model weights/solids]
                            [--pictures 6] [--inversions 3] [--steps 25,50,100,250] [--refinements 2] [--keep DIR]
                            [-- ENGINE OPTIONS]

Renders held-out scenes (weights/train/renderer.py), lets the program draw at 64 pixels, and lets the judge
(weights/judge) read the results. Prints Markdown tables. --keep leaves renders and drawings in a folder.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from weights.judge import network as judging  # noqa: E402
from weights.train import captions, scenes  # noqa: E402
from weights.train.networks import PICTURE  # noqa: E402
from weights.train.renderer import render  # noqa: E402

SEED = 20220413
THETAS = (0.0, 0.125, 0.25, 0.375, 0.5)
COMPONENTS_OF_1024 = (20, 30, 40, 80, 120, 160, 200, 320)


class Engine:
    def __init__(self, args):
        self.program, self.options = args.engine, ["--model", args.model, "--quiet", *args.options]
        self.seconds = 0.0

    def run(self, command, *arguments):
        began = time.monotonic()
        done = subprocess.run([self.program, command, *self.options, *map(str, arguments)], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.seconds += time.monotonic() - began
        return done.stdout

    def draw(self, folder, command, *arguments):
        """The pictures of one run, in order."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = self.run(command, *arguments, "--size", PICTURE, "--seed", 1, "--output", f"{folder}/").splitlines()
        return [pathlib.Path(line) for line in lines]

    def settings(self, path):
        return json.loads(subprocess.run([self.program, "inspect", str(path)], check=True, stdout=subprocess.PIPE,
                                         text=True).stdout)


def renders(folder, count, rng, wanted=lambda scene: True, held=True, two_share=0.62):
    """[(scene, path)] of `count` rendered scenes that are wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    while len(out) < count:
        scene = scenes.sample_scene(rng, held=held, two_share=two_share)
        if wanted(scene):
            out.append((scene, folder / f"{len(out):04d}.png"))
            Image.fromarray(render(scenes.layout(rng, scene), PICTURE, samples=2)).save(out[-1][1])
    return out


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(np.float32)


def psnr(a, b):
    return float(10 * np.log10(255.0 ** 2 / max(((pixels(a) - pixels(b)) ** 2).mean(), 1e-3)))


def read(judge, paths):
    """Labels [pictures, 10]."""
    planes = np.stack([pixels(path) for path in paths]).transpose(0, 3, 1, 2) / 127.5 - 1
    return judge.read(torch.from_numpy(planes))


def kept(labels, truth, names):
    """Of each picture: are all these attributes the truth's?"""
    columns = [scenes.LABEL_NAMES.index(name) for name in names]
    return (labels[:, columns] == truth[columns]).all(1)


def slug(name):
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")


def percent(values):
    return f"{100 * np.mean(values):.0f} %"


def table(title, header, rows):
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")
    sys.stdout.flush()


def reconstruction(engine, pictures, args, work):
    rows = []
    for steps in args.steps:
        values, before = [], engine.seconds
        for k, (_, path) in enumerate(pictures):
            drawn = engine.draw(work / f"reconstruction-{steps}-{k}", "vary", path, "--eta", 0, "--invert-steps", steps,
                                "--invert-refinements", args.refinements)
            values.append(psnr(path, drawn[0]))
        rows.append((steps, f"{np.mean(values):.1f} dB", f"{min(values):.1f} dB",
                     f"{(engine.seconds - before) / len(values):.1f} s"))
    table(f"Reconstruction of {len(pictures)} held-out renders at {PICTURE} pixels "
          f"({args.refinements} refinements a step)", ("steps", "PSNR, mean", "worst", "time each"), rows)


def variations(engine, judge, pictures, work):
    """eta 1 from the picture's own noise, and diffusers' way from fresh noise."""
    rows = []
    for name, options in (("DDIM, eta 1", ("--eta", 1, "--invert-steps", 50, "--invert-refinements", 0)),
                          ("--from-noise", ("--from-noise",))):
        shape, color, both, distance = [], [], [], []
        for k, (scene, path) in enumerate(pictures):
            drawn = engine.draw(work / f"variations-{slug(name)}-{k}", "vary", path, "-b", 3,
                                *options)
            labels, truth = read(judge, drawn), torch.tensor(scenes.labels(scene))
            shape += kept(labels, truth, ("shape_a", "shape_b")).tolist()
            color += kept(labels, truth, ("color_a", "color_b")).tolist()
            both += kept(labels, truth, ("shape_a", "shape_b", "color_a", "color_b")).tolist()
            distance += [psnr(drawn[0], other) for other in drawn[1:]]
        rows.append((name, percent(shape), percent(color), percent(both), f"{np.mean(distance):.1f} dB"))
    table(f"3 variations of each of {len(pictures)} held-out renders",
          ("how", "shapes kept", "colours kept", "both", "PSNR between them"), rows)


def text_diffs(engine, judge, count, rng, work):
    red = renders(work / "red", count, rng, lambda scene: scene["objects"][0]["color"] == "red", held=False,
                  two_share=0.0)
    color, shape = scenes.LABEL_NAMES.index("color_a"), scenes.LABEL_NAMES.index("shape_a")
    rows = []
    inverted = ("--invert-steps", 50, "--invert-refinements", 0)
    for name, options in (("own noise, the model's guidance", inverted),
                          ("own noise, eta 0.7", (*inverted, "--eta", 0.7)),
                          ("own noise, guidance 1", (*inverted, "--cfg-scale", 1)),
                          ("fresh noise", ("--from-noise",))):
        blue, same = np.zeros((count, len(THETAS))), np.zeros((count, len(THETAS)))
        for k, (scene, path) in enumerate(red):
            caption = captions.plain_caption(scene)
            frames = engine.draw(work / f"textdiff-{slug(name)}-{k}", "textdiff", path, "--from", caption,
                                 "--to", caption.replace("red", "blue"), "--theta-max", THETAS[-1], "--frames",
                                 len(THETAS), *options)
            labels, truth = read(judge, frames), scenes.labels(scene)
            blue[k] = (labels[:, color] == scenes.COLORS.index("blue")).numpy()
            same[k] = (labels[:, shape] == truth[shape]).numpy()
        rows += [(name, theta, percent(blue[:, i]), percent(same[:, i]), percent(blue[:, i] * same[:, i]))
                 for i, theta in enumerate(THETAS)]
    table(f'Text diffs "a red X" to "a blue X" of {count} renders of one object',
          ("how", "theta", "blue", "shape kept", "both"), rows)


def probes(engine, judge, pictures, rng, work):
    basis = work / "pca.safetensors"
    fitted = renders(work / "fitted", 300, rng, held=False)
    engine.run("fit-pca", *[path for _, path in fitted], "--output", basis)
    embedded = json.loads(engine.run("embed", "-i", pictures[0][1]))
    dim = len(embedded["embedding"])
    components = sorted({max(1, round(n * dim / 1024)) for n in COMPONENTS_OF_1024} | {dim // 2, dim})
    shape, color, cosine = (np.zeros((len(pictures), len(components))) for _ in range(3))
    for k, (scene, path) in enumerate(pictures):
        frames = engine.draw(work / f"probe-{k}", "probe", path, "--pca", basis, "--components",
                             ",".join(map(str, components)))
        labels, truth = read(judge, frames), torch.tensor(scenes.labels(scene))
        shape[k] = kept(labels, truth, ("shape_a", "shape_b")).numpy()
        color[k] = kept(labels, truth, ("color_a", "color_b")).numpy()
        cosine[k] = [engine.settings(frame)["cosine"] for frame in frames]
    table(f"Principal components of {len(pictures)} held-out renders ({dim} dimensions, fitted to {len(fitted)})",
          ("components", "cosine to z_i", "shapes right", "colours right"),
          [(n, f"{cosine[:, i].mean():.3f}", percent(shape[:, i]), percent(color[:, i]))
           for i, n in enumerate(components)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--judge", type=pathlib.Path, default=judging.TRAINED)
    parser.add_argument("--model", default=str(pathlib.Path(__file__).resolve().parent.parent / "weights/solids"))
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--inversions", type=int, default=3, help="pictures that are reconstructed at every step count")
    parser.add_argument("--steps", type=lambda text: [int(n) for n in text.split(",")], default=[25, 50, 100, 250])
    parser.add_argument("--refinements", type=int, default=2)
    parser.add_argument("--only", default="reconstruction,variations,textdiff,probe")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("options", nargs="*", help="options of the program, after --")
    args = parser.parse_args()
    engine, judge, rng = Engine(args), judging.load(args.judge), random.Random(SEED)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.keep or pathlib.Path(temporary)
        pictures = renders(work / "renders", max(args.pictures, args.inversions), rng)
        only = args.only.split(",")
        if "reconstruction" in only:
            reconstruction(engine, pictures[:args.inversions], args, work)
        if "variations" in only:
            variations(engine, judge, pictures[:args.pictures], work)
        if "textdiff" in only:
            text_diffs(engine, judge, args.pictures, random.Random(SEED + 1), work)
        if "probe" in only:
            probes(engine, judge, pictures[:args.pictures], random.Random(SEED + 2), work)
    print(f"\n{time.monotonic() - began:.0f} s in all, {engine.seconds:.0f} s of them in the program.")


if __name__ == "__main__":
    main()
