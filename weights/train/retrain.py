"""Trains everything, in order, and puts the model together.

    python -m weights.train.retrain --out DIR --model MODEL [--budget 240] [--device cpu] [--engine unclip-cuda]

`--budget` is the minutes of training in all; SHARES says how they are spent. Every step can be interrupted: run the
same command again and it goes on. Log lines are in DIR/logs/*.jsonl.
"""
import argparse
import pathlib
import subprocess
import sys

SHARES = [("weights.train.clip", 0.12), ("weights.judge.train", 0.05), ("weights.train.decoder", 0.47),
          ("weights.train.prior", 0.06), ("weights.train.prior_ar", 0.05), ("weights.train.upsampler 256", 0.13),
          ("weights.train.upsampler 1024", 0.12)]


def run(command, *arguments):
    module, *rest = command.split()
    subprocess.run([sys.executable, "-m", module, *rest, *map(str, arguments)], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--budget", type=float, default=240, help="minutes of training in all")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", type=pathlib.Path, help="unclip-cuda, to score the model with")
    parser.add_argument("--start-from", type=pathlib.Path, help="model directory to go on from")
    args = parser.parse_args()
    run("weights.train.dataset", "--out", args.out, "--processes", args.threads)
    start = ["--start-from", args.start_from] if args.start_from else []
    for command, share in SHARES:
        run(command, "--out", args.out, "--budget", share * args.budget, "--device", args.device,
            "--threads", args.threads, "--seed", args.seed, *start)
    run("weights.train.assemble", "--out", args.out, "--model", args.model, *start)
    if args.engine:
        run("weights.train.score", "--engine", args.engine, "--model", args.model,
            "--judge", args.out / "judge.safetensors")


if __name__ == "__main__":
    main()
