"""What PyTorch and diffusers take for the same work, on the same device, beside the rows of unclip-bench.

    python peers.py BENCH.jsonl [--device cuda:0|cpu] [--model DIR] [--wheels DIR --unpack DIR] [--seconds S]

Reads the rows of `unclip-bench ops` and `unclip-bench stages`, repeats operations of the plans (attention by
scaled_dot_product_attention with flash, cuDNN and memory-efficient backends; group norm with SiLU; the heaviest
convolutions and matmuls) and the networks of the stages (diffusers' modules with the configurations of --model and
random weights, eager and by torch.compile), and appends one row for each: the same name, in "context" the engine.
Without PyTorch it says so and ends with status 77; without diffusers the networks are left out and a row says why.
"""
import argparse
import glob
import json
import os
import re
import sys
import time
import zipfile

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(f"PyTorch is missing: {error}")
    sys.exit(77)

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
MOST_OF_A_KIND = {"attention": 12, "group_norm": 12, "conv2d": 8, "matmul": 6}
MOST_COMPILED = 3


class Clock:
    """Times of a function on the device: one sample a call, medians of at most `most`."""

    def __init__(self, device, most, seconds):
        self.cuda, self.most, self.seconds = device.type == "cuda", most, seconds

    def sample(self, function):
        if not self.cuda:
            begin = time.perf_counter()
            function()
            return time.perf_counter() - begin
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        function()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    def measure(self, function):
        for _ in range(2 if self.cuda else 1):
            self.sample(function)
        samples, spent = [], 0.0
        while len(samples) < 3 or (len(samples) < self.most and spent < self.seconds):
            samples.append(self.sample(function))
            spent += samples[-1]
        samples.sort()
        return {"samples": len(samples), "min_s": samples[0], "p50_s": samples[len(samples) // 2],
                "p95_s": samples[int(0.95 * (len(samples) - 1))]}


class Report:
    def __init__(self, path, device):
        self.file = open(path, "a", encoding="utf-8")
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        self.context = {"engine": "pytorch", "version": torch.__version__, "device": str(device), "device_name": name}

    def row(self, of, variant, times, **more):
        kept = {key: of[key] for key in ("name", "op", "stage", "part", "type", "batch", "flops", "bytes") if key in of}
        row = {"schema": 1, "bench": of.get("bench", "peers"), **kept, **times, **more,
               "context": {**self.context, "variant": variant}}
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        what = f"{times['p50_s'] * 1e3:10.4f} ms" if times else more.get("missing", "")
        print(f"{variant:24} {of['name'][:88]:88} {what}", flush=True)


def shapes_of(name):
    return [[int(n) for n in text.split(",")] for text in re.findall(r"\[([0-9,]+)\]", name)]


def flag_value(name, letter):
    found = re.search(rf" {letter}(\d+)\b", name)
    return int(found.group(1)) if found else None


# ---- operations ----------------------------------------------------------------------------------------------------


def attention(row, dtype, device):
    """Keys of context and tokens are joined beforehand, and the context's bias is left out: in the peers' favour."""
    shapes, heads = shapes_of(row["name"])[:-1], flag_value(row["name"], "h")
    queries, keys = shapes[0], sum(shape[1] for shape in shapes[1:])
    make = lambda length: torch.randn(queries[0], heads, length, queries[2] // heads, dtype=dtype, device=device)
    q, k, v = make(queries[1]), make(keys), make(keys)
    causal = " causal" in row["name"] and queries[1] == keys
    run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    if device.type != "cuda":
        yield "sdpa", run
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    for label, backend in (("sdpa flash", SDPBackend.FLASH_ATTENTION), ("sdpa cudnn", SDPBackend.CUDNN_ATTENTION),
                           ("sdpa efficient", SDPBackend.EFFICIENT_ATTENTION)):
        def limited(backend=backend):
            with sdpa_kernel(backend):
                run()
        yield label, limited


def picture(shape, dtype, device):
    x = torch.randn(shape, dtype=dtype, device=device)
    return x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x


def group_norm(row, dtype, device):
    """Without scale, shift and addend, which ours does in the same pass: in the peers' favour."""
    shape, groups = shapes_of(row["name"])[0], flag_value(row["name"], "g")
    if len(shape) == 3:
        shape = [shape[0], shape[2], shape[1]]
    x = picture(shape, dtype, device)
    weight, bias = (torch.randn(shape[1], dtype=dtype, device=device) for _ in range(2))
    silu = " silu" in row["name"]
    def run():
        y = F.group_norm(x, groups, weight, bias)
        return F.silu(y) if silu else y
    yield "eager", run
    if row["rank"] < MOST_COMPILED and device.type == "cuda":
        yield "torch.compile", torch.compile(run)


def conv2d(row, dtype, device):
    shapes = shapes_of(row["name"])
    x, weight = picture(shapes[0], dtype, device), picture(shapes[1], dtype, device)
    bias = torch.randn(shapes[1][0], dtype=dtype, device=device)
    stride, pad = flag_value(row["name"], "s"), flag_value(row["name"], "p")
    yield "cudnn, autotuned", lambda: F.conv2d(x, weight, bias, stride, pad)


def matmul(row, dtype, device):
    shapes = shapes_of(row["name"])
    x, weight = (torch.randn(shape, dtype=dtype, device=device) for shape in shapes[:2])
    bias = torch.randn(shapes[1][0], dtype=dtype, device=device)
    yield "eager", lambda: F.linear(x, weight, bias)


KINDS = {"attention": attention, "group_norm": group_norm, "conv2d": conv2d, "matmul": matmul}


def copies(row, dtype, device):
    """The copy that a noise step is held against: as many bytes read and written together."""
    count = max(1, int(row["bytes"]) // 8)
    a, b = (torch.zeros(count, dtype=torch.float32, device=device) for _ in range(2))
    yield "copy of as many bytes", lambda: b.copy_(a)


def chosen(rows):
    """The operations that take most of a launch, of each kind."""
    for kind, most in MOST_OF_A_KIND.items():
        some = [row for row in rows if row.get("op") == kind and row.get("part") == "plan"]
        some.sort(key=lambda row: -row["times"] * row["p50_s"])
        for rank, row in enumerate(some[:most]):
            yield {**row, "rank": rank}, KINDS[kind]
    for row in rows:
        if row.get("op") == "noise_step" and row.get("part") == "plan":
            yield row, copies


def operations(rows, report, clock, device, deadline):
    for row, make in chosen(rows):
        if time.monotonic() > deadline:
            report.row(row, "not measured", {}, missing="no time left")
            continue
        variant = row["op"]
        try:
            for variant, function in make(row, TYPES[row["type"]], device):
                with torch.no_grad():
                    report.row(row, variant, clock.measure(function))
        except RuntimeError as error:
            report.row(row, variant, {}, missing=str(error).splitlines()[0][:200])


# ---- networks ------------------------------------------------------------------------------------------------------


def import_diffusers(wheels, unpack):
    if wheels and unpack and not os.path.isdir(f"{unpack}/diffusers"):
        for wheel in sorted(glob.glob(f"{wheels}/*.whl")):
            zipfile.ZipFile(wheel).extractall(unpack)
    if unpack and os.path.isdir(unpack):
        sys.path.insert(0, unpack)
    try:
        from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
    except Exception as error:  # its own imports may fail in many ways beside newer packages
        return None, f"diffusers cannot be imported: {type(error).__name__}: {error}".splitlines()[0][:300]
    return {"prior": PriorTransformer, "decoder": UNet2DConditionModel, "super_res_first": UNet2DModel}, None


def inputs_of(stage, config, batch, dtype, device):
    """Guidance doubles the rows of prior and decoder, as in the engine."""
    make = lambda *shape: torch.randn(*shape, dtype=dtype, device=device)
    t = torch.tensor(500, device=device)
    if stage == "prior":
        width, tokens = config["embedding_dim"], config["num_embeddings"]
        return dict(hidden_states=make(2 * batch, width), timestep=t, proj_embedding=make(2 * batch, width),
                    encoder_hidden_states=make(2 * batch, tokens, width),
                    attention_mask=torch.ones(2 * batch, tokens, dtype=torch.bool, device=device))
    size = config["sample_size"]
    if stage == "sr256":
        return dict(sample=make(batch, config["in_channels"], size, size), timestep=t)
    tokens = 81
    return dict(sample=make(2 * batch, config["in_channels"], size, size), timestep=t,
                encoder_hidden_states=make(2 * batch, tokens, config["cross_attention_dim"]),
                class_labels=make(2 * batch, 4 * config["block_out_channels"][0]),
                attention_mask=torch.ones(2 * batch, tokens, dtype=torch.bool, device=device))


FOLDERS = {"decoder": "decoder", "sr256": "super_res_first", "prior": "prior"}


def network(classes, model, stage, dtype, device):
    with open(f"{model}/{FOLDERS[stage]}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    with torch.device(device):
        module = classes[FOLDERS[stage]].from_config(config)
    module = module.to(dtype).eval()
    return module.to(memory_format=torch.channels_last) if stage != "prior" else module, config


def one_network(row, module, config, report, clock, device, compiled):
    inputs = inputs_of(row["stage"], config, row["batch"], TYPES[row["type"]], device)
    label = "diffusers, torch.compile" if compiled else "diffusers, eager"
    try:
        with torch.no_grad():
            function = torch.compile(module, mode="reduce-overhead", dynamic=False) if compiled else module
            report.row(row, label, clock.measure(lambda: function(**inputs, return_dict=False)))
    except Exception as error:  # a compiler's errors have many types
        report.row(row, label, {}, missing=f"{type(error).__name__}: {error}".splitlines()[0][:200])


def networks(rows, arguments, report, clock, device, deadline):
    steps = [row for row in rows if row.get("bench") == "stages" and row.get("part") == "step"
             and row["stage"] in FOLDERS]
    classes, why = import_diffusers(arguments.wheels, arguments.unpack)
    if not classes or not arguments.model:
        report.row({"name": "networks"}, "diffusers", {}, missing=why or "no --model given")
        return
    order = sorted(steps, key=lambda row: (row["batch"], list(FOLDERS).index(row["stage"])))
    for compiled in (False, True) if device.type == "cuda" else (False,):
        for row in order:
            if time.monotonic() > deadline:
                label = "diffusers, torch.compile" if compiled else "diffusers, eager"
                report.row(row, label, {}, missing="no time left")
                continue
            module, config = network(classes, arguments.model, row["stage"], TYPES[row["type"]], device)
            one_network(row, module, config, report, clock, device, compiled)
            del module
            torch.cuda.empty_cache()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--model")
    parser.add_argument("--wheels")
    parser.add_argument("--unpack")
    parser.add_argument("--seconds", type=float, default=300)
    arguments = parser.parse_args()
    device, begin = torch.device(arguments.device), time.monotonic()
    if device.type == "cuda" and not torch.cuda.is_available():
        print("PyTorch sees no GPU")
        sys.exit(77)
    with open(arguments.rows, encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["context"]["engine"] == "unclip-cuda"]
    with open(arguments.rows, "w", encoding="utf-8") as file:  # without those of an earlier comparison
        file.writelines(json.dumps(row) + "\n" for row in rows)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    clock = Clock(device, *((50, 0.3) if device.type == "cuda" else (3, 0)))
    report = Report(arguments.rows, device)
    operations(rows, report, clock, device, begin + arguments.seconds / 3)
    networks(rows, arguments, report, clock, device, begin + arguments.seconds)


if __name__ == "__main__":
    main()
