"""Puts a decoder between what it was before a training and what it became.

    python -m weights.train.mix --before MODEL --after MODEL [--share 0.5]

Every weight of the second model directory's decoder and text projection becomes (1 - share) before + share after; the
two must be the same network, one trained further from the other. Between such weights a network often has what it
learned without all that it lost (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"): after a training on
its own pictures a decoder draws straight edges and merges a cube's two faces, halfway it does the first alone.
Written in the precision of the second, each file replaced when it is complete.
"""
import argparse
import os
import pathlib
import sys

from safetensors.torch import load_file, save_file

FILES = [f"{folder}/diffusion_pytorch_model.safetensors" for folder in ("decoder", "text_proj")]


def mixed(before, after, share):
    """Two dictionaries of tensors with the same names and shapes."""
    if {name: value.shape for name, value in before.items()} != {name: value.shape for name, value in after.items()}:
        sys.exit("the two models' decoders are not the same network")
    return {name: before[name].float().lerp(value.float(), share).to(value.dtype) for name, value in after.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=pathlib.Path, required=True)
    parser.add_argument("--after", type=pathlib.Path, required=True, help="model directory that is changed")
    parser.add_argument("--share", type=float, default=0.5, help="of what it became")
    args = parser.parse_args()
    results = [mixed(load_file(args.before / name), load_file(args.after / name), args.share) for name in FILES]
    for name, tensors in zip(FILES, results):
        path = args.after / name
        unfinished = path.with_suffix(".unfinished")
        save_file(tensors, unfinished, metadata={"format": "pt"})
        os.replace(unfinished, path)


if __name__ == "__main__":
    main()
