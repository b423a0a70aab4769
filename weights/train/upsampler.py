"""Trains one of the upsamplers, 64 -> 256 or 256 -> 1024.

    python -m weights.train.upsampler 256 --out DIR [--start-from MODEL] [--redrawn-share 0.6]
    python -m weights.train.upsampler 1024 --out DIR [--start-from MODEL]

Follows the paper: ADM's UNet without attention, text or guidance; the low-resolution picture, resized, as three more
input channels; trained on random crops and applied to whole pictures; cosine schedule for 256, linear for 1024; the
input blurred for 256, degraded after BSR for 1024.
Leaves: the size. Differs: predicts the clean picture, so that two to seven steps suffice; loss is the length of each
pixel's error, not its square, for which the best answer to an outline that may be here or there is a blur, plus the
error in how strong edges are around each low-resolution pixel, without which whatever cannot be known exactly (grain,
grass) comes out smooth; the network starts as the identity on the resized picture (networks.start_as_identity).

With --redrawn-share the input of 256 is at times what the decoder drew, whose rims and uneven outlines no blur of true
pictures has, and the aim is the true picture that is nearest to it (weights.train.redraw): this teaches it what solids
look like, so that it draws straight edges where the small picture has bent ones.
Crops are rendered on the first run and kept.
"""
import math
import multiprocessing
import pathlib
import random

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

from weights.train import channels_last, degrade, diffusion, networks, scenes, training, widen
from weights.train.optimizer import MuonWithAdam
from weights.train.score import to_planes

FACTOR = 4
STORED_CROP = 192
REDRAWN_CROP, REDRAWN_BATCH = 128, 4    # larger than the others: an edge is judged by the object that it belongs to
PURE_NOISE_SHARE = 0.6  # of 256's examples: the first of two steps draws nearly everything, and what is seen through
                        # less noise says where an edge is, so that a bent one would never have to be straightened
LENGTH_WEIGHT, SMALL_ERROR, EDGE_WEIGHT = 0.5, 0.03, 1.5
SETTINGS = {256: {"channels": networks.UPSAMPLER_256_CHANNELS, "folder": "super_res_first", "crop": 96, "batch": 6,
                  "abar": diffusion.cosine_abar, "degrade": degrade.for_256, "pure_noise_share": PURE_NOISE_SHARE},
            1024: {"channels": networks.UPSAMPLER_1024_CHANNELS, "folder": "super_res_1024", "crop": 96, "batch": 6,
                   "abar": diffusion.linear_abar, "degrade": degrade.for_1024, "pure_noise_share": 0.0}}


def write_crops(path, full, count, seed):
    """Renders `count` crops of pictures `full` pixels wide, most of them near the middle, where objects are."""
    from weights.train.renderer import render
    path = pathlib.Path(path)
    if path.exists():
        return
    rng, lights = random.Random(seed), random.Random(f"light {seed}")
    unfinished = path.with_suffix(".unfinished")
    crops = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (count, STORED_CROP, STORED_CROP, 3))
    room = full - STORED_CROP
    for i in range(count):
        scene = scenes.sample_scene(rng, held=False)
        scene["light"] = scenes.sample_light(lights)
        flat = scenes.layout(rng, scene)
        if rng.random() < 0.75:
            corner = [min(max(int(rng.gauss(0.5, 0.16) * full - STORED_CROP / 2), 0), room) for _ in "xy"]
        else:
            corner = [rng.randint(0, room) for _ in "xy"]
        x, y = (value // FACTOR * FACTOR for value in corner)
        crops[i] = render(flat, STORED_CROP, 2,
                          (x / full, y / full, (x + STORED_CROP) / full, (y + STORED_CROP) / full))
    crops.flush()
    unfinished.rename(path)


def load_crops(folder, full, count, processes):
    folder.mkdir(parents=True, exist_ok=True)
    halves = [(folder / f"crops{full}_{k}.npy", full, count // 2, 1000 + full + k) for k in range(2)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(write_crops, halves, chunksize=1)
    return np.concatenate([np.load(half[0], mmap_mode="r") for half in halves])


def planes(pictures, mirrored):
    pixels = to_planes(pictures)
    return pixels.flip(3) if mirrored else pixels.contiguous()


def draw(crops, batch, size, numbers):
    """Random crops of the stored ones, mirrored at random; float in -1..1."""
    index = numbers.randint(0, len(crops), batch)
    corners = numbers.randint(0, (STORED_CROP - size) // FACTOR + 1, (batch, 2)) * FACTOR
    parts = np.stack([crops[i, y:y + size, x:x + size] for i, (y, x) in zip(index, corners)])
    return planes(parts, mirrored=numbers.rand() < 0.5)


class Redrawn:
    """What the decoder drew and the true pictures that are nearest to it, from weights.train.redraw."""

    def __init__(self, folder):
        self.low, self.high = (np.load(folder / f"redrawn.{name}.npy", mmap_mode="r") for name in ("low", "high"))

    def draw(self, batch, size, numbers):
        """Crops [batch, 3, size, size] of true pictures, most of them near the middle, and the decoder's of them."""
        index = numbers.randint(0, len(self.low), batch)
        small, room = size // FACTOR, (self.high.shape[1] - size) // FACTOR
        corners = np.clip(numbers.normal(0.5, 0.3, (batch, 2)) * room, 0, room).round().astype(int)
        high = np.stack([self.high[i, FACTOR * y:FACTOR * y + size, FACTOR * x:FACTOR * x + size]
                         for i, (y, x) in zip(index, corners)])
        low = np.stack([self.low[i, y:y + small, x:x + small] for i, (y, x) in zip(index, corners)])
        mirrored = numbers.rand() < 0.5
        return planes(high, mirrored), planes(low, mirrored)


def resized(low):
    return F.interpolate(low, scale_factor=FACTOR, mode="bicubic", antialias=True, align_corners=False)


def main():
    parser = training.arguments(__doc__, budget=20)
    parser.add_argument("size", type=int, choices=sorted(SETTINGS))
    parser.add_argument("--crops", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--redrawn-share", type=float, default=0.0,
                        help="share of the steps whose input is what the decoder made of a picture")
    parser.add_argument("--render-only", action="store_true", help="render the crops and stop")
    args = parser.parse_args()
    device = training.prepare(args)
    chosen = SETTINGS[args.size]
    crops = load_crops(args.out / "data", args.size, args.crops, args.threads)
    if args.render_only:
        return
    redrawn = Redrawn(args.out / "data") if args.redrawn_share else None
    if args.start_from:
        model = UNet2DModel.from_pretrained(args.start_from / chosen["folder"], torch_dtype=torch.float32)
        if tuple(model.config.block_out_channels) != chosen["channels"]:
            model = widen.widened(model, chosen["channels"])
    else:
        model = networks.upsampler(args.size, chosen["channels"])
        networks.start_as_identity(model)
    model.to(device)
    if args.device == "cpu":
        channels_last.use_in(model)
    optimizer = MuonWithAdam(model, args.rate, first_and_last=("conv_in", "conv_out"))
    run = training.Run(chosen["folder"], args, model, optimizer, average_decay=0.998)
    numbers = np.random.RandomState(args.seed + run.step)
    abar = chosen["abar"]()

    def example():
        """True pictures, what stands for them at a quarter of the size, degraded or redrawn, and shares of 1000."""
        if redrawn and numbers.rand() < args.redrawn_share:
            clean, low = (part.to(device) for part in redrawn.draw(REDRAWN_BATCH, REDRAWN_CROP, numbers))
        else:
            clean = draw(crops, chosen["batch"], chosen["crop"], numbers).to(device)
            low = chosen["degrade"](F.avg_pool2d(clean, FACTOR))
        noise_level = torch.rand(len(clean))
        noise_level[torch.rand(len(clean)) < chosen["pure_noise_share"]] = 1
        return clean, low, noise_level

    def loss(step, share):
        clean, low, noise_level = example()
        given = resized(low)
        t = (noise_level * diffusion.STEPS).long().clamp(max=diffusion.STEPS - 1)
        noisy = diffusion.add_noise(clean, torch.randn_like(clean), abar[t])
        with torch.autocast(args.device, torch.bfloat16):
            pair = torch.cat([noisy, given], 1).contiguous(memory_format=torch.channels_last)
            predicted = model(pair, t.to(device)).sample.float()
        squared = (predicted - clean).square().mean(1)
        length = diffusion.error_length(squared, SMALL_ERROR).mean()
        edges = diffusion.edge_error(predicted, clean, FACTOR).mean()
        total = LENGTH_WEIGHT * length + EDGE_WEIGHT * edges
        kind = "redrawn_" if clean.shape[-1] == REDRAWN_CROP else ""
        return total, {f"{kind}squared": squared.mean(), f"{kind}length": length, f"{kind}edges": edges,
                       f"{kind}squared_given": F.mse_loss(given, clean)}

    run.train(loss)
    run.log({"gain_db": gain(model, crops, chosen, device)})
    model.save_pretrained(args.out / chosen["folder"])


@torch.no_grad()
def gain(model, crops, chosen, device, count=48):
    """How many dB one step from pure noise is above bicubic resizing, on undegraded crops."""
    numbers = np.random.RandomState(1)
    clean = draw(crops, count, STORED_CROP, numbers).to(device)
    exact = resized(F.avg_pool2d(clean, FACTOR))
    t = torch.full((1,), diffusion.STEPS - 1, device=device)
    predicted = torch.cat([model(torch.cat([torch.randn_like(part), low], 1), t).sample
                           for part, low in zip(clean.split(8), exact.split(8))])
    return 10 * math.log10(float(F.mse_loss(exact, clean) / F.mse_loss(predicted, clean)))


if __name__ == "__main__":
    main()
