"""Trains the judge on rendered pictures.

    python -m weights.judge.train --out DIR [--begin-with JUDGE]

The pictures are lightly blurred, noised and shifted in brightness, so that the judge reads shapes and colours and not
the renderer's last bit. Scored on held-out combinations; it must be right on 98 % of them in every attribute.
"""
import pathlib

import torch
import torch.nn.functional as F

from safetensors.torch import load_file

from weights.judge import network as judging
from weights.judge.network import Judge, compare
from weights.train import training
from weights.train.dataset import Pictures
from weights.train.degrade import blur, sometimes
from weights.train.optimizer import MuonWithAdam
from weights.train.scenes import LABEL_CLASSES

BATCH = 64
RATE = 2e-3


def roughened(pictures):
    batch, device = len(pictures), pictures.device
    pictures = blur(pictures, sometimes(batch, 0.4, 0.8, device))
    pictures = pictures + 0.05 * torch.randn(batch, 3, 1, 1, device=device)
    return pictures + torch.randn_like(pictures) * sometimes(batch, 0.5, 0.08, device).view(-1, 1, 1, 1)


@torch.no_grad()
def evaluate(judge, test, device):
    judge.eval()
    read = torch.cat([judge.read(test.pixels(range(i, min(i + 250, len(test)))).to(device)).cpu()
                      for i in range(0, len(test), 250)])
    judge.train()
    return compare(read, test.labels)


def main():
    parser = training.arguments(__doc__, budget=8)
    parser.add_argument("--begin-with", type=pathlib.Path, help="trained judge; attributes that it lacks begin anew")
    parser.add_argument("--rate", type=float, default=RATE)
    args = parser.parse_args()
    device = training.prepare(args)
    pictures = Pictures(args.out / "data", "train*", seed=args.seed)
    test = Pictures(args.out / "data", "test")
    judge = Judge()
    if args.begin_with:
        judge.load_state_dict(load_file(args.begin_with), strict=False)
    judge.to(device, memory_format=torch.channels_last)
    run = training.Run("judge", args, judge, MuonWithAdam(judge, args.rate, decay=0.05), average_decay=0.995)

    def loss(step, share):
        index = pictures.draw(BATCH)
        labels = pictures.labels[index].to(device)
        with torch.autocast(args.device, torch.bfloat16):
            given = roughened(pictures.pixels(index).to(device))
            scores = judge(given.contiguous(memory_format=torch.channels_last))
        total = sum(F.cross_entropy(score.float(), labels[:, k] % classes)
                    for k, (score, classes) in enumerate(zip(scores, LABEL_CLASSES)))
        return total, {"loss": total}

    run.train(loss, lambda: evaluate(judge, test, device), evaluate_seconds=150)
    run.log({f"average_{name}": value for name, value in evaluate(judge, test, device).items()})
    judging.save(judge.state_dict(), args.out / "judge.safetensors")


if __name__ == "__main__":
    main()
