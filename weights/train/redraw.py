"""Draws true pictures again with the decoder: what the 64 -> 256 upsampler meets when it follows the decoder.

    python -m weights.train.redraw --out DIR --model MODEL [--pairs 4000]

MODEL may be a model directory or the folder in which a decoder was trained. Each true picture is rendered at 256
pixels, made small, noised to a timestep between LEAST_NOISE and MOST_NOISE and brought back by MODEL's decoder with its
caption, its image embedding, the default guidance and half of the default steps. What comes back is the same scene with
the decoder's own errors: bent edges, rims, faces without shading. More noise would move the outlines themselves, which
the upsampler could only answer with a blur. For the same reason the grain of wood and grass stays the true one wherever
no object is near. A picture that the decoder draws from noise has rounder corners still, so most objects here are
rounded further by a median over some pixels.

Writes DIR/data/redrawn.{low,high}.npy: uint8 [pairs, 64, 64, 3] and [pairs, 256, 256, 3]. Half of the scenes are in
daylight. Pairs that exist are left alone.
"""
import argparse
import multiprocessing
import pathlib
import random

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from weights.train import captions, channels_last, sampling, scenes
from weights.train.dataset import grown
from weights.train.decoder import Decoder
from weights.train.networks import PICTURE
from weights.train.score import to_planes
from weights.train.score_upsamplers import to_bytes
from weights.train.tokenizer import WordTokenizer

LARGE = 256
LEAST_NOISE, MOST_NOISE = 120, 500
DAYLIGHT_SHARE = 0.5
GRAINED = ("wooden table", "grass")
NEAR_OBJECT = 3            # pixels around an object that are redrawn with it on these grounds, and rounded with it
MEDIANS = (1, 1, 3, 5, 5, 7, 7)     # widths, drawn for each batch; 1 rounds nothing
BATCH = 32
SEED = 400


def example(seed):
    """A picture, where an object is near and where it is redrawn (bool [64, 64]), and what somebody might say of it."""
    from weights.train.renderer import coverage, render
    rng = random.Random(seed)
    scene = scenes.sample_scene(rng, held=False)
    scene["light"] = scenes.sample_light(random.Random(f"light {seed}"), DAYLIGHT_SHARE)
    layout = scenes.layout(rng, scene)
    objects = torch.from_numpy(coverage(layout, PICTURE)).gt(0).float()[None]
    near = grown(objects, NEAR_OBJECT)[0].bool().numpy()
    redrawn = near | (scene["ground"] not in GRAINED)
    return render(layout, LARGE, samples=2), near, redrawn, captions.free_caption(rng, scene)


def median(pictures, width):
    """Of each colour over width x width pixels: straight edges stay sharp, corners become round."""
    padded = F.pad(pictures, [width // 2] * 4, mode="replicate")
    windows = F.unfold(padded, width).view(*pictures.shape[:2], width * width, -1)
    return windows.median(2).values.view_as(pictures)


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
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    folder = args.out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    low_path, high_path = (folder / f"redrawn.{name}.npy" for name in ("low", "high"))
    if low_path.exists():
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    seeds = [f"{SEED} {k}" for k in range(args.pairs)]
    with multiprocessing.get_context("spawn").Pool(args.threads) as pool:
        pictures, near, redrawn, texts = zip(*pool.map(example, seeds, chunksize=16))
    high = np.stack(pictures)
    np.save(high_path, high)
    near, redrawn = (torch.from_numpy(np.stack(places))[:, None].to(args.device) for places in (near, redrawn))
    redraw = Redrawer(args.model, args.device)
    usable = [k for k, t in enumerate(redraw.scheduler.timesteps) if LEAST_NOISE <= t <= MOST_NOISE]
    numbers = random.Random(SEED)
    unfinished = low_path.with_suffix(".unfinished")
    low = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (args.pairs, PICTURE, PICTURE, 3))
    for start in range(0, args.pairs, BATCH):
        part = slice(start, start + BATCH)
        clean = F.avg_pool2d(to_planes(high[part]), LARGE // PICTURE).to(args.device)
        drawn = torch.where(redrawn[part], redraw(clean, list(texts[part]), numbers.choice(usable)), clean)
        low[part] = to_bytes(torch.where(near[part], median(drawn, numbers.choice(MEDIANS)), drawn).cpu())
        if start % (8 * BATCH) == 0:
            print(f"redrawn {start + len(clean)} of {args.pairs}", flush=True)
    low.flush()
    unfinished.rename(low_path)


if __name__ == "__main__":
    main()
