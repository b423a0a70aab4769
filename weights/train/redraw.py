"""Draws true pictures again with the decoder, and finds the true ones that are nearest to what it drew.

    python -m weights.train.redraw --out DIR --model MODEL [--pairs 2400] [--seed 400]

MODEL may be a model directory or the folder in which a decoder was trained. Each true picture is noised to a timestep
between LEAST_NOISE and MOST_NOISE and brought back by MODEL's decoder with its caption, its image embedding, the
default guidance and half of the default steps. What comes back is a scene with the decoder's own errors: bent edges,
round corners, faces without shading, and it is no longer quite the same scene. So its nearest layout is found
(fitting.py), and the true picture of that one is what the decoder itself and the 64 -> 256 upsampler learn to make of
it. The grain of wood and grass cannot be fitted and stays the true one wherever no object is near.

Writes DIR/data/redrawn.low.npy, what the decoder drew, uint8 [pairs, 64, 64, 3]; redrawn.high.npy, the true pictures,
uint8 [pairs, 256, 256, 3]; the same at 64 pixels as a part of the dataset, redrawn.{images,labels,coverage}.npy.
Pictures of which no layout is near are left out. Half of the scenes are in daylight, half show a cube. Pairs that exist
are left alone.
"""
import argparse
import multiprocessing
import pathlib
import random
import sys

import numpy as np
import torch
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from weights.train import captions, channels_last, fitting, sampling, scenes
from weights.train.dataset import grown
from weights.train.decoder import Decoder
from weights.train.networks import PICTURE
from weights.train.score import to_planes
from weights.train.score_upsamplers import to_bytes
from weights.train.tokenizer import WordTokenizer

LARGE = 256
LEAST_NOISE, MOST_NOISE = 450, 920   # below, cubes keep corners that those drawn from noise do not have
DAYLIGHT_SHARE = 0.5
NO_CUBE_LEFT_OUT = 0.7     # of the scenes without a cube, the shape that a decoder bends most: half show one then
GRAINED = [scenes.GROUNDS.index(ground) for ground in ("wooden table", "grass")]
NEAR_OBJECT = 4            # pixels around an object that are the decoder's on these grounds
FURTHEST = 22.0            # of 255: a drawn picture that is further from every layout shows no scene, or another one
BATCH = 32


def example(seed):
    """A layout, its picture, its labels, and what somebody might say of it."""
    from weights.train.renderer import render
    rng = random.Random(seed)
    scene = scenes.sample_scene(rng, held=False)
    while all(thing["shape"] != "cube" for thing in scene["objects"]) and rng.random() < NO_CUBE_LEFT_OUT:
        scene = scenes.sample_scene(rng, held=False)
    scene["light"] = scenes.sample_light(random.Random(f"light {seed}"), DAYLIGHT_SHARE)
    layout = scenes.layout(rng, scene)
    return layout, render(layout, PICTURE, samples=2), scenes.labels(scene), captions.free_caption(rng, scene)


def near_objects(layout):
    """bool [64, 64, 1]."""
    from weights.train.renderer import coverage
    objects = torch.from_numpy(coverage(layout, PICTURE)).gt(0).float()[None]
    return grown(objects, NEAR_OBJECT)[0, :, :, None].bool().numpy()


def pair(layout, drawn):
    """How far the nearest layout is off, its picture, large and small, its coverage, and what stands for it."""
    from weights.train.renderer import coverage, render
    grained = layout[5] in GRAINED
    weights = np.where(near_objects(layout)[..., 0], 1.0, 0.0 if grained else 0.5)
    layout, miss = fitting.fitted(layout, drawn, weights)
    small = render(layout, PICTURE, samples=2)
    if grained:
        drawn = np.where(near_objects(layout), drawn, small)
    return miss, {"high": render(layout, LARGE, samples=2), "images": small, "coverage": coverage(layout, PICTURE),
                  "low": drawn}


class Redrawer:
    """The decoder of a model directory with all that it is conditioned on."""

    def __init__(self, model, device):
        self.device = device
        self.decoder = Decoder(model).eval().to(device)
        if device == "cpu":
            channels_last.use_in(self.decoder.decoder)
        self.words = WordTokenizer(model / "tokenizer")
        self.text = CLIPTextModelWithProjection.from_pretrained(model / "text_encoder").float().eval().to(device)
        self.image = CLIPVisionModelWithProjection.from_pretrained(model / "image_encoder").float().eval().to(device)
        self.scheduler = sampling.schedulers(sampling.prediction(model))["decoder_scheduler"]
        self.scheduler.set_timesteps(sampling.DEFAULTS["steps"] // 2)

    def conditions(self, clean, texts):
        """With nothing in the first half of the batch and everything in the second."""
        ids, mask = self.words([""] * len(texts) + texts)
        encoded = self.text(ids.to(self.device))
        nothing = self.decoder.text_proj.learned_classifier_free_guidance_embeddings[None].expand(len(texts), -1)
        embeddings = torch.cat([nothing, self.image(clean).image_embeds])
        return embeddings, encoded.text_embeds, encoded.last_hidden_state, mask.to(self.device)

    @torch.no_grad()
    def __call__(self, clean, texts, first):
        """clean [batch, 3, 64, 64] in -1..1, redrawn from the scheduler's timestep number `first` on."""
        timesteps = [int(t) for t in self.scheduler.timesteps[first:]]
        conditions = self.conditions(clean, texts)
        x = self.scheduler.add_noise(clean, torch.randn_like(clean), torch.tensor(timesteps[:1]))
        for t, before in zip(timesteps, timesteps[1:] + [None]):
            twice = torch.cat([x, x]).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device, torch.bfloat16):
                both = self.decoder(twice, torch.full((2 * len(x),), t, device=self.device), *conditions).float()
            without, with_all = both[:, :3].chunk(2)
            guided = without + sampling.DEFAULTS["cfg_scale"] * (with_all - without)
            output = torch.cat([guided, both[len(x):, 3:]], 1)
            x = self.scheduler.step(output, t, x, prev_timestep=before).prev_sample
        return x


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=400, help="another one draws other pictures again")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    folder = args.out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "redrawn.low.npy").exists():
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    redraw = Redrawer(args.model, args.device)
    usable = [k for k, t in enumerate(redraw.scheduler.timesteps) if LEAST_NOISE <= t <= MOST_NOISE]
    numbers = random.Random(args.seed)
    with multiprocessing.get_context("spawn").Pool(args.threads) as pool:
        seeds = [f"{args.seed} {k}" for k in range(args.pairs)]
        layouts, pictures, labels, texts = zip(*pool.map(example, seeds, chunksize=16))
        drawn = []
        for start in range(0, args.pairs, BATCH):
            part = slice(start, start + BATCH)
            clean = to_planes(np.stack(pictures[part])).to(args.device)
            drawn.extend(to_bytes(redraw(clean, list(texts[part]), numbers.choice(usable)).cpu()))
            if start % (8 * BATCH) == 0:
                print(f"redrawn {len(drawn)} of {args.pairs}", flush=True)
        pairs = pool.starmap(pair, zip(layouts, drawn), chunksize=16)
    kept = [{"labels": np.array(words, np.int8), **arrays}
            for words, (miss, arrays) in zip(labels, pairs) if miss <= FURTHEST]
    if not kept:
        sys.exit(f"none of the {args.pairs} pictures that the decoder drew shows a scene: train it longer first")
    print(f"{len(kept)} of them show a scene", flush=True)
    for name in kept[0]:
        np.save(folder / f"redrawn.{name}.npy", np.stack([arrays[name] for arrays in kept]))


if __name__ == "__main__":
    main()
