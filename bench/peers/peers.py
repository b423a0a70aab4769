"""The same network evaluations by unclip-cuda and by other engines, in turns, in one run.

    python peers.py MODEL_DIR --bench build/release/bin/unclip-bench -o RESULTS.jsonl

MODEL_DIR is a diffusers directory, e.g. one of random weights made by tests/goldens/make_karlo_size.py. For each stage
unclip-bench writes the inputs of one evaluation and its result; every other engine computes the same, and is timed only
if its result agrees. Then each engine runs once, round after round, so that a disturbance of the machine meets all of
them. Rows are of the schema of unclip-bench.
"""
import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
SCHEMA = 1
STEPS = {"prior": 25, "decoder": 25, "sr256": 7, "sr1024": 15}
SHORT = 10  # seconds
# root of the mean square of the difference over that of our f32 result
MOST_ERROR = {"f32": 1e-3, "bf16": 8e-2}


class Engine:
    """A process that answers every line with the seconds of one evaluation."""

    def __init__(self, name, command, environment=None):
        self.name, self.seconds, self.facts = name, [], {}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.first_line = self.process.stdout.readline().strip()

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def take_turn(self):
        """A stage's steps follow each other: after the others' turns memory is cold, so a short step runs twice."""
        seconds = self.run()
        self.seconds.append(self.run() if seconds < SHORT else seconds)

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return 0

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def machine():
    model, memory = "unknown", "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = next((line.split(":")[1].strip() for line in file if line.startswith("MemTotal")), memory)
    return {"cpu": model, "cores": os.cpu_count(), "memory": memory, "system": platform.release()}


def interval(values):
    """Where the median lies with 95 % confidence, from order statistics, as bench/samples.c."""
    n = len(values)
    low = max(math.floor((n - 1) / 2 - 1.96 * math.sqrt(n) / 2), 0)
    return values[low], values[n - 1 - low]


def row(stage, engine, type_name, context, rounds):
    values = sorted(engine.seconds)
    low, high = interval(values)
    quantile = lambda q: values[min(int(q * (len(values) - 1) + 0.5), len(values) - 1)]
    p50 = statistics.median(values)
    return {
        "schema": SCHEMA, "bench": "peers", "name": f"{stage} step, {engine.name}", "stage": stage, "part": "step",
        "type": type_name, "batch": 1, "samples": rounds, "times": STEPS[stage], "min_s": values[0], "p50_s": p50,
        "p95_s": quantile(0.95), "low_s": low, "high_s": high, **engine.facts, "context": context,
    }


def open_ours(options, stage, precision, tensors):
    command = [options.bench, "evaluate", "-m", options.model, "--stage", stage, "--type", precision, "--threads",
               str(options.threads), "-o", tensors]
    engine = Engine(f"unclip-cuda {precision}", command)
    if engine.first_line != "ready":
        sys.exit(f"{' '.join(command)} failed")
    engine.facts = {"engine_type": precision}
    return engine


def commit_of(options):
    """From unclip-bench itself, which knows what it was built from."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        subprocess.run(
            [options.bench, "stages", "-m", options.model, "--stage", "text", "--small", "1", "--least", "1", "--most",
             "1", "--seconds", "0", "-o", file.name], check=True, stdout=subprocess.DEVNULL,
        )
        return json.loads(file.readline())["context"]


def open_peer(options, name, stage, tensors):
    command = [sys.executable, f"{FOLDER}/engine.py", name, stage, options.model, tensors, str(options.threads)]
    engine = Engine(name, command)
    if not engine.first_line.startswith("{"):
        print(f"{stage}: {name} is not available here", flush=True)
        engine.close()
        return None
    engine.facts = json.loads(engine.first_line)
    precision, error = name.split("-")[1], engine.facts["relative_error"]
    print(f"{stage}: {name} differs by {error:.2e}", flush=True)
    if not error <= MOST_ERROR[precision]:
        print(f"{stage}: {name} computes something else and is not timed", flush=True)
        engine.close()
        return None
    return engine


def measure_stage(options, stage, ours_context, file):
    with tempfile.TemporaryDirectory() as folder:
        tensors = f"{folder}/{stage}.safetensors"
        engines = [open_ours(options, stage, "f32", tensors)]
        if "unclip-bf16" in options.engines:
            engines.append(open_ours(options, stage, "bf16", f"{folder}/bf16.safetensors"))
        others = [name for name in options.engines if not name.startswith("unclip")]
        engines += [open_peer(options, name, stage, tensors) for name in others]
        engines = [engine for engine in engines if engine]
        for _ in range(options.rounds):
            for engine in engines:
                engine.take_turn()
        for engine in engines:
            ours = engine.name.startswith("unclip")
            engine.facts["peak_bytes"] = engine.peak_bytes()
            libraries = engine.facts.pop("libraries", {})
            context = ours_context if ours else {
                "engine": engine.name.split("-")[0], "version": " ".join(f"{k} {v}" for k, v in libraries.items()),
                "commit": ours_context["commit"], "compiler": "", "device": "cpu", "threads": options.threads,
                "clock": "wall", "machine": machine(), "libraries": libraries,
            }
            precision = engine.facts.pop("engine_type", None) or engine.name.split("-")[1]
            result = row(stage, engine, precision, context, options.rounds)
            print(f"{result['name']:40} {1e3 * result['p50_s']:10.1f} ms", flush=True)
            file.write(json.dumps(result) + "\n")
            file.flush()
            engine.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--bench", required=True)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stages", default="prior,decoder,sr256")
    parser.add_argument("--engines", default="unclip-bf16,eager-f32,eager-bf16,openvino-f32,openvino-bf16")
    options = parser.parse_args()
    options.engines = options.engines.split(",")
    context = commit_of(options)
    context["threads"] = options.threads
    with open(options.output, "a", encoding="utf-8") as file:
        for stage in options.stages.split(","):
            measure_stage(options, stage, context, file)


if __name__ == "__main__":
    main()
