"""Trains everything, in order, and puts the model together.

    python -m weights.train.retrain --out DIR --model MODEL [--budget 240] [--device cpu] [--engine unclip-cuda]
                                    [--pictures 100000] [--crops 5000] [--pairs 2400]

`--budget` is the minutes of training in all; SHARES says how they are spent, and rendering comes on top. Every step can
be interrupted (the step that trains saves itself first): run the same command again and it goes on. Log lines are in
DIR/logs/*.jsonl, steps that are done in DIR/logs/retrain.jsonl.
"""
import argparse
import json
import pathlib
import signal
import subprocess
import sys

# A network that is trained twice goes on where it was: its second share includes the first.
SHARES = [("weights.train.clip", 0.12), ("weights.judge.train", 0.05), ("weights.train.decoder", 0.37),
          ("weights.train.decoder --redrawn-share 0.5 --small-share 0 --outlines-from 0", 0.47),
          ("weights.train.prior", 0.06), ("weights.train.prior_ar", 0.05),
          ("weights.train.upsampler 256 --redrawn-share 0.6", 0.13), ("weights.train.upsampler 1024", 0.12)]
PARTS = 2


def run(command, *arguments):
    """A stopped run passes the signal on and waits, so that the step can save itself."""
    module, *rest = command.split()
    process = subprocess.Popen([sys.executable, "-m", module, *rest, *map(str, arguments)])
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        code = process.wait()
    if code:
        sys.exit(f"{command} ended with status {code}; the same command goes on from there")


def interrupt(number, frame):
    raise KeyboardInterrupt


class Done:
    """The steps that are done, and with how many minutes."""

    def __init__(self, path):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.minutes = {line["step"]: line["minutes"] for line in map(json.loads, lines)}

    def has(self, command, minutes):
        return self.minutes.get(command, -1) >= minutes

    def add(self, command, minutes):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a") as log:
            log.write(json.dumps({"step": command, "minutes": minutes}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--budget", type=float, default=240, help="minutes of training in all")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=100000, help="64-pixel pictures to render for training")
    parser.add_argument("--crops", type=int, default=5000, help="crops to render for each upsampler")
    parser.add_argument("--pairs", type=int, default=2400, help="pictures that the decoder redraws")
    parser.add_argument("--engine", type=pathlib.Path, help="unclip-cuda, to score the model with")
    parser.add_argument("--count", type=int, default=500, help="captions to score it with")
    parser.add_argument("--start-from", type=pathlib.Path, help="model directory to go on from")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    run("weights.train.dataset", "--out", args.out, "--processes", args.threads, "--parts", PARTS,
        "--pictures", args.pictures // PARTS)
    start = ["--start-from", args.start_from] if args.start_from else []
    done = Done(args.out / "logs" / "retrain.jsonl")
    for command, share in SHARES:
        minutes = share * args.budget
        if done.has(command, minutes):
            continue
        more = ["--crops", args.crops] if "upsampler" in command else []
        if "redrawn" in command:
            run("weights.train.redraw", "--out", args.out, "--model", args.out, "--pairs", args.pairs, "--device",
                args.device, "--threads", args.threads)
        run(command, "--out", args.out, "--budget", minutes, "--device", args.device,
            "--threads", args.threads, "--seed", args.seed, *start, *more)
        done.add(command, minutes)
    run("weights.train.assemble", "--out", args.out, "--model", args.model, *start)
    if args.engine:
        run("weights.train.score", "--engine", args.engine, "--model", args.model, "--count", args.count,
            "--judge", args.out / "judge.safetensors")


if __name__ == "__main__":
    main()
