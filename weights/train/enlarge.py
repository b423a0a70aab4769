"""Enlarges what the decoder drew with the 64 -> 256 upsampler, and renders what the 256 -> 1024 one should make of it.

    python -m weights.train.enlarge --out DIR --model MODEL [--crops 3000]

MODEL may be a model directory or the folder in which the upsampler was trained; DIR/data has the pairs of
weights.train.redraw. Writes DIR/data/enlarged.low.npy, crops of the 256-pixel pictures, uint8 [crops, 48, 48, 3], and
enlarged.high.npy, the same of the nearest true pictures at 1024 pixels, uint8 [crops, 192, 192, 3]: on, around and now
and then beside an object. Where there is grain and no object is near, the small crop is the true one, since the
upsampler's grain lies elsewhere. Crops that exist are left alone.
"""
import argparse
import multiprocessing
import pathlib
import random

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

from weights.train import channels_last, sampling, scenes
from weights.train.dataset import grown
from weights.train.redraw import GRAINED, NEAR_OBJECT
from weights.train.score import to_planes
from weights.train.score_upsamplers import to_bytes

FACTOR = 4
MIDDLE, LARGE = 256, 1024
CROP = 192
BATCH = 8
SEED = 500


class Upsampler:
    """The 64 -> 256 upsampler of a model directory at its default steps."""

    def __init__(self, model, device):
        self.device = device
        self.unet = UNet2DModel.from_pretrained(model / "super_res_first", torch_dtype=torch.float32).eval().to(device)
        if device == "cpu":
            channels_last.use_in(self.unet)
        self.scheduler = sampling.schedulers("sample")["super_res_scheduler"]
        self.scheduler.set_timesteps(sampling.DEFAULTS["sr256_steps"])

    @torch.no_grad()
    def __call__(self, low):
        """low [batch, 3, 64, 64] in -1..1 -> [batch, 3, 256, 256]."""
        given = F.interpolate(low, scale_factor=FACTOR, mode="bicubic", antialias=True, align_corners=False)
        x = torch.randn_like(given)
        timesteps = [int(t) for t in self.scheduler.timesteps]
        for t, before in zip(timesteps, timesteps[1:] + [None]):
            pair = torch.cat([x, given], 1).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device, torch.bfloat16):
                clean = self.unet(pair, torch.full((len(x),), t, device=self.device)).sample.float()
            x = self.scheduler.step(clean, t, x, prev_timestep=before).prev_sample
        return x


def crop(layout, coverage, middle, truth, seed):
    """A crop of a 256-pixel picture near an object, and the same of the layout at 1024."""
    from weights.train.renderer import render
    rng = random.Random(seed)
    if layout[5] in GRAINED:
        objects = torch.from_numpy(coverage).gt(0).float()[None]
        near = F.interpolate(grown(objects, NEAR_OBJECT)[None], scale_factor=FACTOR)[0, 0, :, :, None].bool().numpy()
        middle = np.where(near, middle, truth)
    small = CROP // FACTOR
    rows, columns = np.nonzero(coverage)
    k = rng.randrange(len(rows))
    y, x = (min(max(round(FACTOR * at[k] + rng.gauss(0, 0.3) * small - small / 2), 0), MIDDLE - small)
            for at in (rows, columns))
    high = render(layout, CROP, 2, (x / MIDDLE, y / MIDDLE, (x + small) / MIDDLE, (y + small) / MIDDLE))
    return middle[y:y + small, x:x + small], high


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--crops", type=int, default=3000)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    folder = args.out / "data"
    if (folder / "enlarged.low.npy").exists():
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    upsampler = Upsampler(args.model, args.device)
    drawn, truth, layouts, coverage = (np.load(folder / f"redrawn.{name}.npy", mmap_mode="r")
                                       for name in ("low", "high", "layouts", "coverage"))
    shown = np.flatnonzero(coverage.any((1, 2)))[:args.crops]
    middle = {}
    for start in range(0, len(shown), BATCH):
        part = shown[start:start + BATCH]
        middle.update(zip(part, to_bytes(upsampler(to_planes(drawn[part]).to(args.device)).cpu())))
    chosen = [shown[k % len(shown)] for k in range(args.crops)]
    jobs = [(layouts[k], coverage[k], middle[k], truth[k], f"{SEED} {number}") for number, k in enumerate(chosen)]
    with multiprocessing.get_context("spawn").Pool(args.threads) as pool:
        low, high = zip(*pool.starmap(crop, jobs, chunksize=32))
    np.save(folder / "enlarged.high.npy", np.stack(high))
    np.save(folder / "enlarged.low.npy", np.stack(low))


if __name__ == "__main__":
    main()
