"""Chooses the decoder's defaults: the judge's score against steps and guidance, for each sampler.

    python -m weights.train.sweep --engine unclip-cuda --model MODEL --out FOLDER [--count 100]

Captions are those of the validation split, never of the test. Writes FOLDER/sweep.jsonl, one line a setting (settings
that are already in it are not drawn again), and FOLDER/sweep.svg.
"""
import argparse
import json
import pathlib

from weights.judge import network as judging
from weights.train import captions, score

SAMPLERS = ["unclip", "ddim", "dpm++"]
STEPS = [5, 10, 15, 25, 50]
GUIDANCE = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
USUAL_STEPS, USUAL_GUIDANCE = 25, 3.0
COLORS = {"unclip": "#c0392b", "ddim": "#2471a3", "dpm++": "#1e8449"}
WIDTH, HEIGHT, MARGIN = 360, 260, 46


def settings():
    for sampler in SAMPLERS:
        for steps in STEPS:
            yield {"sampler": sampler, "steps": steps, "guidance": USUAL_GUIDANCE}
    for sampler in SAMPLERS:
        for guidance in GUIDANCE:
            if guidance != USUAL_GUIDANCE:
                yield {"sampler": sampler, "steps": USUAL_STEPS, "guidance": guidance}


def measure(args, chosen, judge):
    path = args.out / "sweep.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    texts = [captions.plain_caption(scene) for scene in chosen]
    for setting in settings():
        if any(row.items() >= setting.items() and row["count"] == args.count for row in done):
            continue
        options = ["--sampler", setting["sampler"], "--steps", str(setting["steps"]),
                   "--cfg-scale", str(setting["guidance"])]
        pictures = score.draw(args.engine, args.model, texts, 64, options)
        numbers = score.table(judge, pictures, chosen, score.PLAIN)
        row = {**setting, "count": args.count, **{key: round(value, 4) for key, value in numbers.items()}}
        with open(path, "a") as out:
            out.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        done.append(row)
    return done


def panel(rows, key, values, title, left):
    """One diagram: the share of captions drawn right (0.5 to 1) against evenly spaced values of `key`."""
    across = (WIDTH - 2 * MARGIN) / (len(values) - 1)

    def place(value, share):
        return left + MARGIN + values.index(value) * across, HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (share - .5) * 2

    parts = [f'<text x="{left + WIDTH / 2}" y="24" text-anchor="middle" font-weight="bold">{title}</text>']
    for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        x, y = place(values[0], share)
        end, _ = place(values[-1], share)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="#ddd"/>'
                     f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for value in values:
        x, _ = place(value, .5)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{value:g}</text>')
    for sampler, color in COLORS.items():
        points = [place(value, max(row["all"], 0.5)) for value in values
                  for row in rows if row["sampler"] == sampler and row[key] == value]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
    return parts


def plot(rows, path):
    by_steps = [row for row in rows if row["guidance"] == USUAL_GUIDANCE]
    by_guidance = [row for row in rows if row["steps"] == USUAL_STEPS]
    parts = panel(by_steps, "steps", STEPS, f"steps (guidance {USUAL_GUIDANCE:g})", 0)
    parts += panel(by_guidance, "guidance", GUIDANCE, f"guidance ({USUAL_STEPS} steps)", WIDTH)
    for k, (sampler, color) in enumerate(COLORS.items()):
        parts.append(f'<text x="{MARGIN + 110 * k}" y="{HEIGHT - 6}" fill="{color}">{sampler}</text>')
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}" '
                    f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
                    f'{"".join(parts)}</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("engine", "model", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--judge", type=pathlib.Path, default=judging.TRAINED)
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = score.test_scenes(args.count, score.VALIDATION_SEED)
    plot(measure(args, chosen, judging.load(args.judge)), args.out / "sweep.svg")


if __name__ == "__main__":
    main()
