#!/usr/bin/env python3
"""Goldens of picture -> pixels: what transformers' CLIPImageProcessor makes of awkward sizes and settings.

    python3 tests/goldens/make_image_processor.py      (transformers 4.51.3, Pillow 13.0)

Writes unit/image_processor.json, a list of cases with the settings of preprocessor_config.json, and
unit/image_processor.safetensors with `<case>.rgb` U8 [h, w, 3] and `<case>.pixels` F32 [3, h', w'].
"""
import json
import pathlib

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers import CLIPImageProcessor

UNIT = pathlib.Path(__file__).parent / "unit"
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
CASES = {  # name: width, height, settings that differ from CLIP's
    "landscape": (61, 40, {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}),
    "portrait_odd": (23, 59, {"size": {"shortest_edge": 19}, "crop_size": {"height": 14, "width": 17}}),
    "upscaled": (9, 7, {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}),
    "four_pixels": (2, 2, {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}),
    "line": (1, 200, {"size": {"shortest_edge": 4}, "crop_size": {"height": 6, "width": 4}}),
    "exact_size": (31, 17, {"size": {"height": 20, "width": 11}, "crop_size": {"height": 11, "width": 11}}),
    "same_size": (16, 16, {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}),
    "one_axis": (16, 33, {"size": {"height": 12, "width": 16}, "do_center_crop": False}),
    "crop_pads_even": (20, 30, {"size": {"shortest_edge": 12}, "crop_size": {"height": 24, "width": 16}}),
    "crop_pads_odd": (20, 31, {"size": {"shortest_edge": 13}, "crop_size": {"height": 24, "width": 18}}),
    "crop_pads_one_axis": (40, 12, {"size": {"shortest_edge": 11}, "crop_size": {"height": 16, "width": 16}}),
    "no_resize": (25, 18, {"do_resize": False, "crop_size": {"height": 16, "width": 16}}),
    "no_rescale": (25, 18, {"do_rescale": False, "size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}),
    "only_resize": (50, 35, {"do_rescale": False, "do_normalize": False, "do_center_crop": False,
                             "size": {"shortest_edge": 14}}),
    "shrunk_far": (311, 207, {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}),
}


def main():
    tensors, listing = {}, []
    for seed, (name, (width, height, settings)) in enumerate(CASES.items()):
        rng = np.random.default_rng(seed)
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        steps = np.where((np.arange(width) // 5 + np.arange(height)[:, None] // 3) % 2, 255, 0)[..., None]
        rgb = np.where(rng.random((height, width, 1)) < 0.5, noise, steps).astype(np.uint8)
        config = {"do_resize": True, "do_center_crop": True, "do_rescale": True, "do_normalize": True,
                  "size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "resample": 3,
                  "rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": STD, **settings}
        pixels = CLIPImageProcessor(**config)(images=Image.fromarray(rgb), return_tensors="np").pixel_values[0]
        tensors[f"{name}.rgb"] = rgb
        tensors[f"{name}.pixels"] = np.ascontiguousarray(pixels, dtype=np.float32)
        listing.append({"name": name, **config})
    save_file(tensors, UNIT / "image_processor.safetensors")
    (UNIT / "image_processor.json").write_text("[\n" + ",\n".join(map(json.dumps, listing)) + "\n]\n")


if __name__ == "__main__":
    main()
