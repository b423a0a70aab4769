"""How straight and how crisp the model's own pictures are, against the true pictures that are nearest to them.

    python -m weights.train.score_outlines --engine unclip-cuda --model MODEL [--count 24] [-- ENGINE OPTIONS]

Held-out captions that say everything (sizes, materials, ground) are drawn at 64, 256 and 1024 pixels. The nearest
layout is found by weights.train.fitting, from the most similar ones of many that the caption allows, and rendered at
each size. For each size, on and around objects:

`miss`: root mean square difference of the picture and the render, of 255: what is bent, round or of another brightness.
`miss_at_64`: the same of both made 64 pixels small again, where an upsampler that bends nothing further adds nothing.
`sharpness`: mean brightness gradient of the steepest pixels as a share of the render's, each taken where its own are,
so that an edge that is elsewhere but crisp counts as crisp.

Pictures that are further than redraw.FURTHEST from every layout, which show another scene, are counted and left out.
"""
import argparse
import json
import multiprocessing
import pathlib
import random

import numpy as np

from weights.train import captions, fitting, scenes, score
from weights.train.networks import PICTURE
from weights.train.redraw import FURTHEST, near_objects
from weights.train.score_upsamplers import EDGE_SHARE, gradient

SIZES = (64, 256, 1024)
TRIED, FITTED = 400, 3     # layouts of the caption that are rendered, small, and those of them that are fitted
SMALL = 16


def nearest(scene, drawn, seed):
    """The layout that is nearest to a picture, uint8 [64, 64, 3], of a known scene, and how far it is off."""
    from weights.train.renderer import render
    rng = random.Random(seed)
    small = fitting.smaller(drawn, SMALL)
    tried = [scenes.layout(rng, scene) for _ in range(TRIED)]
    tried.sort(key=lambda flat: np.square(render(flat, SMALL, 2) - small).sum())
    fits = [fitting.fitted(flat, drawn, np.where(near_objects(flat)[..., 0], 1.0, 0.5)) for flat in tried[:FITTED]]
    return min(fits, key=lambda fit: fit[1])


def renders(scene, drawn, seed):
    """The nearest layout's picture at each size and where it is near objects, bool [64, 64]; None if it is too far."""
    from weights.train.renderer import render
    flat, miss = nearest(scene, drawn, seed)
    if miss > FURTHEST:
        return None
    return [render(flat, size, 2) for size in SIZES], near_objects(flat)[..., 0]


def steepest(picture, near):
    """Mean of the steepest EDGE_SHARE of the gradients near objects."""
    values = gradient(score.to_planes(picture[None]))[0][near[:-1, :-1]]
    return float(values.topk(max(1, int(len(values) * EDGE_SHARE))).values.mean())


def numbers(picture, truth, near):
    """Of one picture, at any size."""
    difference = picture.astype(np.float64) - truth
    small = np.square(fitting.smaller(difference, PICTURE))[near]
    near = near.repeat(len(picture) // PICTURE, 0).repeat(len(picture) // PICTURE, 1)
    return {"miss": float(np.sqrt(np.square(difference)[near].mean())), "miss_at_64": float(np.sqrt(small.mean())),
            "sharpness": steepest(picture, near) / steepest(truth, near)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("options", nargs="*", help="options of the engine, after --")
    args = parser.parse_args()
    chosen = score.test_scenes(args.count, score.TEST_SEED)
    texts = [captions.detailed_caption(scene) for scene in chosen]
    pictures = {size: score.draw(args.engine, args.model, texts, size, args.options) for size in SIZES}
    jobs = [(scene, drawn, f"outlines {k}") for k, (scene, drawn) in enumerate(zip(chosen, pictures[PICTURE]))]
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        found = pool.starmap(renders, jobs, chunksize=1)
    kept = [k for k, truth in enumerate(found) if truth]
    for which, size in enumerate(SIZES):
        rows = [numbers(pictures[size][k], found[k][0][which], found[k][1]) for k in kept]
        print(json.dumps({"size": size, "count": len(kept), "left_out": args.count - len(kept),
                          **{name: round(sum(row[name] for row in rows) / max(1, len(rows)), 3)
                             for name in ("miss", "miss_at_64", "sharpness")}}), flush=True)


if __name__ == "__main__":
    main()
