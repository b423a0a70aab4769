"""Puts the results of bench/gpu.sh together: gpu.json, and the targets beside what was measured.

    python report.py STEPS.tsv OUT DEVICE

STEPS.tsv: part, name, state, seconds, status and reason of each step; OUT/bench.jsonl: rows of unclip-bench and
peers.py, if the part bench was run. A target is met, missed, or not measured; only what a GPU gave counts as measured.
"""
import json
import os
import sys

LARGE = 40e6  # bytes, from which a pass over memory should run at the speed of a copy


def read_steps(path):
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [dict(zip(("part", "name", "state", "seconds", "status", "why"), row)) for row in rows]


def read_rows(path):
    if not os.path.exists(path):
        return [], []
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    ours = [row for row in rows if row["context"]["engine"] == "unclip-cuda"]
    return ours, [row for row in rows if row["context"]["engine"] != "unclip-cuda"]


def least_share(rows, op, least_bytes):
    shares = [(row["share"], row["name"]) for row in rows
              if row.get("op") == op and row.get("bytes", 0) >= least_bytes and "share" in row]
    return min(shares, default=(None, None))


def attention_ratio(ours, peers):
    """Flash attention's time over ours, at the decoder's largest attention: 1 or more is as fast or faster."""
    rows = [row for row in ours if row.get("op") == "attention" and row.get("stage") == "decoder"]
    for row in sorted(rows, key=lambda row: -row.get("flops", 0)):
        for peer in peers:
            same = peer["name"] == row["name"] and peer.get("batch") == row.get("batch")
            if same and peer["context"]["variant"] == "sdpa flash" and "p50_s" in peer:
                return peer["p50_s"] / row["p50_s"], row["name"]
    return None, None


def picture(ours, batch):
    for row in ours:
        warm = row["bench"] == "cascade" and row["batch"] == batch and row["part"] == "warm"
        if warm and row["name"].endswith(": all"):
            return row["p50_s"] / batch, row["name"]
    return None, None


def launch_gaps(ours):
    """1 - (sum of the operations, each timed alone) / (the decoder's launch, replayed). Events around each operation
    take time too, so that this errs towards too small a gap."""
    for batch in (1, 8):
        decoder = [row for row in ours if row.get("stage") == "decoder" and row["batch"] == batch]
        busy = sum(row["times"] * row["p50_s"] for row in decoder if row["bench"] == "ops" and row["part"] == "plan")
        whole = sum(row["times"] * row["p50_s"] for row in decoder
                    if row["bench"] == "stages" and row["part"] in ("once", "step", "last step"))
        if busy and whole:
            return 1 - busy / whole, f"decoder, batch {batch}"
    return None, None


def targets(ours, peers):
    at_least = lambda name, value, limit: (name, f">= {limit}", value, lambda v: v >= limit)
    at_most = lambda name, value, limit: (name, f"<= {limit}", value, lambda v: v <= limit)
    yield at_least("attention: flash attention's time / ours, decoder's largest", attention_ratio(ours, peers), 1.0)
    yield at_least("group norm + SiLU above 40 MB: share of copy bandwidth", least_share(ours, "group_norm", LARGE),
                   0.85)
    yield at_least("noise step: share of copy bandwidth", least_share(ours, "noise_step", LARGE / 10), 0.85)
    yield at_most("Karlo-size picture, batch 1, s", picture(ours, 1), 0.30)
    yield at_most("Karlo-size picture, batch 1, s, later", picture(ours, 1), 0.20)
    yield at_most("Karlo-size picture, batch 8, s a picture", picture(ours, 8), 0.20)
    yield at_most("Karlo-size picture, batch 8, s a picture, later", picture(ours, 8), 0.15)
    yield at_most("launch gaps: share of a step", launch_gaps(ours), 0.02)


def judge(ours, peers, real):
    for name, wanted, (value, where), met in targets(ours, peers):
        measured = real and value is not None
        state = ("met" if met(value) else "missed") if measured else "not measured"
        yield {"target": name, "wanted": wanted, "measured": value if measured else None, "where": where,
               "state": state}


def faster_than(ours, peers):
    """Ours beside each peer's row of the same name: ratios of medians."""
    for peer in peers:
        if "p50_s" not in peer:
            continue
        for row in ours:
            if row["name"] == peer["name"] and row.get("batch") == peer.get("batch") and row["bench"] == peer["bench"]:
                yield {"name": row["name"], "batch": row["batch"], "ours_s": row["p50_s"], "peer_s": peer["p50_s"],
                       "peer": peer["context"]["variant"], "peer_over_ours": peer["p50_s"] / row["p50_s"]}
                break


def main():
    steps, out, device = read_steps(sys.argv[1]), sys.argv[2], sys.argv[3]
    ours, peers = read_rows(f"{out}/bench.jsonl")
    real = device.startswith("cuda")
    limits = [row for row in ours if row["name"] == "limits"]
    judged = list(judge(ours, peers, real))
    failed = [step for step in steps if step["state"] in ("failed", "cut")]
    result = {"schema": 1, "device": device, "measured_on_a_gpu": real and bool(ours),
              "context": ours[0]["context"] if ours else None,
              "limits": {key: value for key, value in limits[0].items() if "per_second" in key} if limits else None,
              "steps": steps, "failures": failed, "targets": judged, "beside": list(faster_than(ours, peers)),
              "missing": [{"name": row["name"], "peer": row["context"]["variant"], "why": row["missing"]}
                          for row in peers if "missing" in row]}
    with open(f"{out}/gpu.json", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    for row in result["beside"]:
        print(f"{row['peer_over_ours']:6.2f} x {row['peer']:26} {row['name'][:100]}")
    for row in judged:
        value = "-" if row["measured"] is None else f"{row['measured']:.3f}"
        print(f"{row['state']:13} {row['target']:64} {row['wanted']:8} {value:>8}  {(row['where'] or '')[:60]}")
    passed = sum(step["state"] == "passed" for step in steps)
    rest = len(steps) - passed - len(failed)
    for step in failed:
        print(f"FAILED {step['part']}: {step['name']}: {step['why']}")
    print(f"{passed} passed, {len(failed)} failed, {rest} skipped")


main()
