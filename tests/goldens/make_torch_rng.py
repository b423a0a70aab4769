#!/usr/bin/env python3
"""Goldens of `--rng torch-cpu`: torch.randn in float32 from PyTorch's CPU generator.

    python3 tests/goldens/make_torch_rng.py      (torch 2.8)

Writes unit/torch_rng.json, a list of {"seed", "sizes"}: a generator with that seed draws tensors of those sizes one after
another; and unit/torch_rng.f32, all the numbers of all cases in that order, little-endian.
"""
import json
import pathlib

import torch

UNIT = pathlib.Path(__file__).parent / "unit"
CASES = [(seed, sizes) for seed in (0, 7, 2**32 + 7, 2**64 - 1) for sizes in (
    [1], [5], [15], [16], [17], [31], [40], [768],
    [1, 1, 5, 16, 1, 17, 3, 15, 40, 1, 768, 2, 1],  # the second normal of a pair waits past larger tensors
    [768, 768, 3 * 16 * 16],
)] + [(12345, [12288]), (3, [4099])]


def main():
    numbers = []
    for seed, sizes in CASES:
        generator = torch.Generator().manual_seed(seed if seed < 2**63 else seed - 2**64)
        numbers += [torch.randn(size, generator=generator) for size in sizes]
    (UNIT / "torch_rng.f32").write_bytes(torch.cat(numbers).numpy().astype("<f4").tobytes())
    cases = [{"seed": str(seed), "sizes": sizes} for seed, sizes in CASES]
    (UNIT / "torch_rng.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
