"""Pictures on disk: rendered once, in parts, and read back as batches.

    python -m weights.train.dataset --out DIR [--parts 2] [--pictures 50000]

writes DIR/data/{train0,train1,...,test}.{images,labels,coverage}.npy: the picture, what it shows, and how much of each
pixel is an object. The test part shows held-out combinations only. About two thirds of the pictures are in daylight. A
part that exists is left alone, so the command can be repeated.
"""
import argparse
import multiprocessing
import pathlib
import random

import numpy as np
import torch
import torch.nn.functional as F

from weights.train import captions, scenes
from weights.train.networks import PICTURE

TEST_SEED = 900


def write_part(path, count, seed, held, daylight_share=scenes.DAYLIGHT_SHARE):
    """Renders `count` pictures; the images file appears under its name only when it is complete."""
    from weights.train.renderer import coverage, render
    images_path = pathlib.Path(f"{path}.images.npy")
    if images_path.exists():
        return
    rng, lights = random.Random(seed), random.Random(f"light {seed}")
    unfinished = images_path.with_suffix(".unfinished")
    images = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (count, PICTURE, PICTURE, 3))
    covered = np.empty((count, PICTURE, PICTURE), np.uint8)
    labels = np.empty((count, len(scenes.LABEL_NAMES)), np.int8)
    for i in range(count):
        scene = scenes.sample_scene(rng, held=held)
        scene["light"] = scenes.sample_light(lights, daylight_share)
        layout = scenes.layout(rng, scene)
        images[i], covered[i] = render(layout, PICTURE, samples=2), coverage(layout, PICTURE)
        labels[i] = scenes.labels(scene)
    images.flush()
    np.save(f"{path}.labels.npy", labels)
    np.save(f"{path}.coverage.npy", covered)
    unfinished.rename(images_path)


def grown(objects, pixels):
    """[batch, 1, height, width] of 0 and 1, the ones wider by `pixels` on every side."""
    return F.max_pool2d(objects, 2 * pixels + 1, stride=1, padding=pixels)


class Pictures:
    """A set of pictures with labels; captions are made afresh for each batch."""

    def __init__(self, folder, *patterns, seed=0, with_coverage=False):
        paths = []
        for pattern in patterns:
            found = sorted(pathlib.Path(folder).glob(f"{pattern}.images.npy"))
            if not found:
                raise FileNotFoundError(f"no {pattern}.images.npy in {folder}: run weights.train.dataset first")
            paths += found

        def load(kind):
            names = [str(path).replace(".images.", f".{kind}.") for path in paths]
            return np.concatenate([np.load(name, mmap_mode="r") for name in names])

        self.images = torch.from_numpy(load("images"))
        self.coverage = torch.from_numpy(load("coverage")) if with_coverage else None
        labels = load("labels")
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.scenes = [scenes.scene_from_labels(row) for row in labels]
        self.indices = np.random.RandomState(seed)
        self.words = random.Random(seed)

    def __len__(self):
        return len(self.images)

    def to(self, device):
        """Keeps the pictures on a device, where `pixels` then makes its batches."""
        self.images = self.images.to(device)
        if self.coverage is not None:
            self.coverage = self.coverage.to(device)
        return self

    def draw(self, batch):
        return self.indices.randint(0, len(self), batch)

    def pixels(self, index, size=PICTURE):
        """[batch, 3, size, size] in -1..1."""
        chosen = self.images[torch.as_tensor(index, device=self.images.device)]
        pixels = chosen.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        if size != PICTURE:
            pixels = F.avg_pool2d(pixels, PICTURE // size)
        return pixels.contiguous()

    def objects(self, index):
        """[batch, 1, 64, 64]: 1 where an object is seen, if only in part of the pixel, 0 elsewhere."""
        chosen = self.coverage[torch.as_tensor(index, device=self.coverage.device)]
        return (chosen > 0).float()[:, None]

    def free_captions(self, index, with_light=True):
        return [captions.free_caption(self.words, self.scenes[i], with_light) for i in index]

    def plain_captions(self, index):
        return [captions.plain_caption(self.scenes[i]) for i in index]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=50000, help="pictures in each training part")
    parser.add_argument("--test-pictures", type=int, default=3000)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    folder = args.out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder / "test", args.test_pictures, TEST_SEED, True)]
    jobs += [(folder / f"train{k}", args.pictures, 1 + k, False) for k in range(args.parts)]
    with multiprocessing.Pool(args.processes) as pool:
        pool.starmap(write_part, jobs, chunksize=1)


if __name__ == "__main__":
    main()
