"""What every training script shares: arguments, the timed and resumable loop, the moving average, the log.

A run lasts `--budget` minutes of training in all; its learning rate follows the share of the budget that is spent
(short warm-up, constant, linear decay over the last `decay_share`). A run that SIGTERM or SIGINT stops saves itself
first; started again it continues, and with a larger budget it goes on from where it ended.
"""
import argparse
import json
import os
import pathlib
import signal
import sys
import time

import torch

from weights.train.threads import PoliteThreads

WARM_UP_STEPS = 100
CHECKPOINT_SECONDS = 120
LOG_SECONDS = 15
LONGEST_STEP = 30.0         # seconds: a step that was paused counts no more


def arguments(description, budget):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of data, checkpoints and logs")
    parser.add_argument("--budget", type=float, default=budget, help="minutes of training, earlier runs counted in")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--renew-average", action="store_true", help="a resumed run's moving average begins again at "
                        "its weights: for new data, which the old ones do not know")
    parser.add_argument("--start-from", type=pathlib.Path, help="model directory whose weights a fresh run begins with")
    return parser


def prepare(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    return torch.device(args.device)


def mean(values):
    """Of the numbers that a step measured; NaN marks one that it did not."""
    return float(torch.stack([value.float().cpu() for value in values]).nanmean())


class Average:
    """Exponential moving average of a module's state, quicker at the start."""

    def __init__(self, module, decay):
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        current = module.state_dict()
        names = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[name] for name in names], [current[name] for name in names], 1 - decay)


class Run:
    """One network's training: `loss(step, share)` returns the loss and a dictionary of numbers to log."""

    def __init__(self, name, args, module, optimizer, average_decay=0.999, decay_share=0.4, clip=1.0):
        self.name, self.args, self.module, self.optimizer, self.clip = name, args, module, optimizer, clip
        self.decay_share = decay_share
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.average = Average(module, average_decay)
        self.step, self.seconds = 0, 0.0
        (args.out / "checkpoints").mkdir(parents=True, exist_ok=True)
        (args.out / "logs").mkdir(parents=True, exist_ok=True)
        self.path = args.out / "checkpoints" / f"{name}.pt"
        if self.path.exists():
            self._resume()

    def _resume(self):
        saved = torch.load(self.path, map_location=self.args.device)
        self.module.load_state_dict(saved["module"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.args.renew_average:
            self.average = Average(self.module, self.average.decay)
        else:
            self.average.state = saved["average"]
        self.step, self.seconds = saved["step"], saved["seconds"]
        torch.manual_seed(self.args.seed + self.step)

    def save(self):
        unfinished = self.path.with_suffix(".unfinished")
        torch.save({"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict(),
                    "average": self.average.state, "step": self.step, "seconds": self.seconds}, unfinished)
        os.replace(unfinished, self.path)

    def _set_rates(self, share):
        factor = min(1.0, (self.step + 1) / WARM_UP_STEPS, max(0.02, (1 - share) / self.decay_share))
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = rate * factor

    def train(self, loss_function, evaluate=None, evaluate_seconds=300):
        budget = self.args.budget * 60
        saved = logged = evaluated = self.seconds
        measured, count = {}, 0
        threads = PoliteThreads(self.args.threads)
        stopped = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, frame: stopped.append(received))
        while self.seconds < budget:
            started = time.monotonic()
            threads.adjust()
            self._set_rates(self.seconds / budget)
            loss, numbers = loss_function(self.step, self.seconds / budget)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
            self.optimizer.step()
            self.step += 1
            self.average.update(self.module, self.step)
            for key, value in numbers.items():   # not read yet: that would wait for a GPU
                measured.setdefault(key, []).append(torch.as_tensor(value).detach())
            count += 1
            self.seconds += min(time.monotonic() - started, LONGEST_STEP)
            if self.seconds - logged > LOG_SECONDS:
                self.log({key: mean(values) for key, values in measured.items()},
                         per_second=count / (self.seconds - logged))
                logged, measured, count = self.seconds, {}, 0
            if evaluate and self.seconds - evaluated > evaluate_seconds:
                self.log(evaluate())
                evaluated = self.seconds
            if self.seconds - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = self.seconds
            if stopped:
                self.save()
                sys.exit(128 + stopped[0])
        self.save()
        if evaluate:
            self.log(evaluate())
        self.module.load_state_dict(self.average.state)

    def log(self, numbers, **more):
        line = {"step": self.step, "seconds": round(self.seconds, 1)}
        line |= {key: round(value, 6) for key, value in {**numbers, **more}.items()}
        with open(self.args.out / "logs" / f"{self.name}.jsonl", "a") as log:
            log.write(json.dumps(line) + "\n")
        print(self.name, json.dumps(line), flush=True)
