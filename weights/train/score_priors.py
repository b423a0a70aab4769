"""Compares the autoregressive prior with the diffusion prior, at several scales and temperatures.

    python -m weights.train.score_priors --engine unclip-cuda --model MODEL --out DIR [--pairs 300]
                                         [--judge weights/judge/judge.safetensors [--count 200]]

On pictures of DIR/data/test, which show held-out combinations, with plain captions: the engine's `eval prior` says how
near the drawn embeddings come to the pictures' own. With a judge the captions of the validation split are drawn too,
and the share of pictures that show them is said. One JSON object a line, a setting each.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

from PIL import Image

from weights.judge import network as judging
from weights.train import captions, score
from weights.train.dataset import Pictures

SETTINGS = [["--prior", "diffusion"], ["--prior", "diffusion", "--prior-candidates", "2"]]
SETTINGS += [["--prior", "ar", "--prior-cfg-scale", scale, "--prior-temperature", temperature]
             for scale in ("1", "2", "4") for temperature in ("1", "0.7")]
SETTINGS += [["--prior", "ar", "--prior-cfg-scale", "2", "--prior-dot-percentile", range_]
             for range_ in ("0..100", "50", "85")]


def write_pairs(folder, data, count):
    """PNGs and the list that `eval prior` reads."""
    pictures = Pictures(data, "test")
    index = range(min(count, len(pictures)))
    with open(folder / "pairs.jsonl", "w") as lines:
        for i, caption in zip(index, pictures.plain_captions(index)):
            Image.fromarray(pictures.images[i].numpy()).save(folder / f"{i:05}.png")
            lines.write(json.dumps({"caption": caption, "image": f"{i:05}.png"}) + "\n")
    return folder / "pairs.jsonl"


def measured(engine, model, pairs, options):
    out = subprocess.run([engine, "eval", "prior", "--model", model, "--pairs", pairs, "--seed", "1", *options],
                         check=True, capture_output=True, text=True).stdout
    (numbers,) = json.loads(out)["priors"].values()
    return {key: round(value, 4) for key, value in numbers.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the training: data/test is read")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--judge", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200, help="captions that are drawn and judged")
    args = parser.parse_args()
    chosen = score.test_scenes(args.count, score.VALIDATION_SEED)
    texts = [captions.plain_caption(scene) for scene in chosen]
    judge = judging.load(args.judge) if args.judge else None
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_pairs(pathlib.Path(folder), args.out / "data", args.pairs)
        for options in SETTINGS:
            numbers = measured(args.engine, args.model, pairs, options)
            if judge:
                pictures = score.draw(args.engine, args.model, texts, 64, options)
                right = score.table(judge, pictures, chosen, score.PLAIN)
                numbers["captions_right"] = round(right["all"], 4)
            print(json.dumps({"options": " ".join(options), **numbers}), flush=True)


if __name__ == "__main__":
    main()
