"""One evaluation of a stage's network by another engine, on the inputs that `unclip-bench evaluate` has written.

    python engine.py ENGINE STAGE MODEL_DIR TENSORS THREADS

Prints a line of JSON: which libraries, and how far the output is from ours. Then every line on standard input runs the
evaluation once more, and its seconds are printed. Engines: eager-f32, eager-bf16, compile-f32, compile-bf16,
openvino-f32, openvino-bf16 (the last two where OpenVINO can be imported).
"""
import importlib.util
import json
import os
import resource
import sys
import time

ENGINE, STAGE, MODEL, TENSORS, THREADS = sys.argv[1:6]
os.environ.setdefault("OMP_NUM_THREADS", THREADS)

import diffusers
import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from safetensors.torch import load_file


def load(kind, part, dtype):
    """The class's own weights from a diffusers directory, which may hold f16, in the wanted type."""
    folder = f"{MODEL}/{part}"
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    model = kind.from_config(config).eval()
    state = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            state.update(load_file(f"{folder}/{name}"))
    model.load_state_dict({key: value.float() for key, value in state.items()}, strict=True)
    return model.to(dtype)


def prior(t, dtype):
    """Batch 2 for guidance; the network gets the mask of the tokens in use, which the bias of -10000 stands for."""
    model = load(PriorTransformer, "prior", dtype)
    rows = t["text_embeds"].shape[0]
    mask = (t["mask_bias"][:, : t["text_hidden"].shape[1]] > -1).to(torch.long)
    x = t["x"].repeat(rows // t["x"].shape[0], 1).to(dtype)
    arguments = (x, t["timesteps"][0], t["text_embeds"].to(dtype), t["text_hidden"].to(dtype), mask)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, timestep, embeds, hidden, mask):
            return self.model(
                x, timestep=timestep, proj_embedding=embeds, encoder_hidden_states=hidden, attention_mask=mask.bool()
            ).predicted_image_embedding

    return Network(), arguments


def decoder(t, dtype):
    """What the text projection makes is computed once a picture, before the steps, as in UnCLIPPipeline."""
    projection = load(UnCLIPTextProjModel, "text_proj", torch.float32)
    model = load(UNet2DConditionModel, "decoder", dtype)
    rows = t["text_embeds"].shape[0]
    with torch.no_grad():
        context, addend = projection(
            image_embeddings=t["embedding"], prompt_embeds=t["text_embeds"],
            text_encoder_hidden_states=t["text_hidden"], do_classifier_free_guidance=rows > t["embedding"].shape[0],
        )
    extra = context.shape[1] - t["text_hidden"].shape[1]
    mask = torch.cat([torch.ones(rows, extra), (t["context_bias"][:, extra:] > -1).float()], 1).to(torch.long)
    x = t["x"].repeat(rows // t["x"].shape[0], 1, 1, 1).to(dtype)
    arguments = (x, t["timesteps"][0], context.to(dtype), addend.to(dtype), mask)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, timestep, context, addend, mask):
            return self.model(
                sample=x, timestep=timestep, encoder_hidden_states=context, class_labels=addend,
                attention_mask=mask.bool(),
            ).sample

    return Network(), arguments


def upsampler(t, dtype):
    model = load(UNet2DModel, "super_res_first" if STAGE == "sr256" else "super_res_1024", dtype)
    low = torch.nn.functional.interpolate(
        t["low"], size=t["x"].shape[2:], mode="bicubic", align_corners=False, antialias=True
    )
    arguments = (torch.cat([t["x"], low], 1).to(dtype), t["timesteps"][0])

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, timestep):
            return self.model(sample=x, timestep=timestep).sample

    return Network(), arguments


def torch_runner(network, arguments, compiled):
    if STAGE != "prior":
        network = network.to(memory_format=torch.channels_last)
        arguments = (arguments[0].contiguous(memory_format=torch.channels_last), *arguments[1:])
    if compiled:
        network = torch.compile(network)

    def run():
        with torch.inference_mode():
            return network(*arguments).float()

    return run, {"torch": torch.__version__, "diffusers": diffusers.__version__}


def openvino_runner(network, arguments, precision):
    import openvino

    with torch.no_grad():
        converted = openvino.convert_model(network, example_input=arguments)
    core = openvino.Core()
    hints = {
        "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": int(THREADS), "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(converted, "CPU", hints).create_infer_request()
    inputs = [value.numpy() for value in arguments]

    def run():
        return torch.from_numpy(next(iter(request.infer(inputs).values()))).float()

    return run, {"openvino": openvino.__version__, "torch": torch.__version__}


def main():
    torch.set_num_threads(int(THREADS))
    library, precision = ENGINE.split("-")
    if library == "openvino" and importlib.util.find_spec("openvino") is None:
        sys.exit(f"{ENGINE}: OpenVINO cannot be imported")
    # OpenVINO takes the f32 network and rounds by its own rules
    dtype = torch.bfloat16 if precision == "bf16" and library != "openvino" else torch.float32
    tensors = load_file(TENSORS)
    network, arguments = {"prior": prior, "decoder": decoder}.get(STAGE, upsampler)(tensors, dtype)
    if library == "openvino":
        run, libraries = openvino_runner(network, arguments, precision)
    else:
        run, libraries = torch_runner(network, arguments, library == "compile")
    output, ours = run(), tensors["prediction"]
    error = (output - ours).pow(2).mean().sqrt() / ours.pow(2).mean().sqrt()
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"relative_error": float(error), "peak_bytes": peak, "libraries": libraries}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
