"""Goldens of single parts: tokenizer, schedulers, random numbers, operators, image resizing.

    python make_units.py OUT_DIR --tokenizer NAME=MODEL_DIR ... --pictures DIR
"""
import argparse
import glob
import json
import math
import os

import common
import diffusers.schedulers.scheduling_ddpm as ddpm_module
import diffusers.schedulers.scheduling_unclip as unclip_module
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UnCLIPScheduler
from diffusers.models.embeddings import get_timestep_embedding
from PIL import Image
from tokenizer_prompts import PROMPTS
from transformers import CLIPImageProcessor, CLIPTokenizer
from transformers.activations import ACT2FN

STEP_COUNTS = [2, 3, 4, 5, 7, 10, 25, 27, 50, 64, 100, 250, 999, 1000]


def write_tokenizer(out_dir, models):
    with open(f"{out_dir}/tokenizer_prompts.jsonl", "w", encoding="utf-8") as file:
        for name, folder in models:
            tokenizer = CLIPTokenizer.from_pretrained(f"{folder}/tokenizer")
            assert tokenizer.fix_text is None
            for prompt in PROMPTS:
                row = tokenizer(
                    prompt, padding="max_length", max_length=tokenizer.model_max_length, truncation=True
                )
                count = sum(row.attention_mask)
                assert all(i == tokenizer.pad_token_id for i in row.input_ids[count:])
                assert len(row.input_ids) == tokenizer.model_max_length
                line = {"model": name, "prompt": prompt, "ids": row.input_ids[:count], "mask_sum": count}
                file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def fixed(shape, seed, scale=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def write_unclip_scheduler(out_dir):
    """Schedule tables, time steps, and single steps with a given noise."""
    plain = UnCLIPScheduler()
    tensors = {"betas": plain.betas, "alphas": plain.alphas, "alphas_cumprod": plain.alphas_cumprod}
    for count in STEP_COUNTS:
        plain.set_timesteps(count)
        tensors[f"timesteps.{count}"] = plain.timesteps
    shape = (2, 3, 3, 2)
    tensors["sample"], tensors["noise"] = fixed(shape, 1), fixed(shape, 2)
    # The first half imitates a prediction, the second the variance channels, beyond [-1, 1] as networks go.
    tensors["model_output"] = torch.cat([fixed(shape, 3, 0.8), fixed(shape, 4, 0.7)], dim=1)
    unclip_module.randn_tensor = lambda *args, **kwargs: tensors["noise"]
    steps = [(999, 958), (999, 0), (999, 998), (832, 666), (500, None), (487, 416), (487, 486), (42, 0), (1, 0), (1, None), (0, None)]
    listing = []
    for variance in ("fixed_small_log", "learned_range"):
        for prediction in ("epsilon", "sample"):
            for clip in (1.0, 5.0, None):
                scheduler = UnCLIPScheduler(
                    variance_type=variance, prediction_type=prediction, clip_sample=clip is not None,
                    clip_sample_range=clip or 1.0,
                )
                for t, previous in steps:
                    output = tensors["model_output"] if variance == "learned_range" else tensors["model_output"][:, :3]
                    result = scheduler.step(output, t, tensors["sample"], prev_timestep=previous)
                    name = f"step.{len(listing)}"
                    tensors[f"{name}.prev_sample"] = result.prev_sample
                    tensors[f"{name}.pred_original_sample"] = result.pred_original_sample
                    listing.append({
                        "name": name, "variance_type": variance, "prediction_type": prediction,
                        "clip_sample_range": clip, "t": t, "prev_t": previous,
                    })
    common.save_tensors(f"{out_dir}/unclip_scheduler.safetensors", tensors)
    return listing


def toy_model(x, t, with_variance):
    """A smooth stand-in for a network, the same in any language: float32, t an integer."""
    output = 0.5 * torch.sin(3 * x) + 0.1 * (float(t) / 1000)
    return torch.cat([output, torch.cos(2 * x)], dim=1) if with_variance else output


def toy_noise(scheduler, x, t):
    """The noise that belongs to toy_model as the clean sample: without clipping, toy_model as epsilon blows up."""
    kept = scheduler.alphas_cumprod[t].double()
    clean = toy_model(x, t, False).double()
    return ((x.double() - kept.sqrt() * clean) / (1 - kept).sqrt()).float()


def trajectories():
    """name -> (class, configuration, arguments of step)."""
    schedules = {
        "cosine": {"beta_schedule": "squaredcos_cap_v2"},
        "linear": {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    }
    out = {}
    for schedule, betas in schedules.items():
        for spacing in ("linspace", "leading", "trailing"):
            base = {**betas, "timestep_spacing": spacing}
            out[f"ddpm.{schedule}.{spacing}"] = (DDPMScheduler, base, {})
            out[f"ddim.{schedule}.{spacing}"] = (DDIMScheduler, base, {})
            for eta in (0.5, 1.0):
                out[f"ddim.{schedule}.{spacing}.eta{eta}"] = (DDIMScheduler, base, {"eta": eta})
            multistep = {**base, "algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"}
            out[f"dpm++.{schedule}.{spacing}"] = (DPMSolverMultistepScheduler, multistep, {})
        out[f"ddim.{schedule}.clipped"] = (DDIMScheduler, {**betas}, {"use_clipped_model_output": True})
        out[f"ddim.{schedule}.clipped.eta1.0"] = (
            DDIMScheduler, {**betas}, {"eta": 1.0, "use_clipped_model_output": True},
        )
        out[f"dpm++.{schedule}.sample"] = (
            DPMSolverMultistepScheduler, {**betas, "prediction_type": "sample"}, {},
        )
        out[f"dpm++.{schedule}.learned_range"] = (
            DPMSolverMultistepScheduler, {**betas, "variance_type": "learned_range"}, {},
        )
        out[f"dpm++.{schedule}.heun"] = (DPMSolverMultistepScheduler, {**betas, "solver_type": "heun"}, {})
        out[f"dpm++.{schedule}.order1"] = (DPMSolverMultistepScheduler, {**betas, "solver_order": 1}, {})
        out[f"dpm++.{schedule}.order3"] = (DPMSolverMultistepScheduler, {**betas, "solver_order": 3}, {})
        for variance in ("fixed_small_log", "fixed_large", "learned_range"):
            out[f"ddpm.{schedule}.{variance}"] = (DDPMScheduler, {**betas, "variance_type": variance}, {})
        for prediction in ("sample", "v_prediction"):
            out[f"ddpm.{schedule}.{prediction}"] = (DDPMScheduler, {**betas, "prediction_type": prediction}, {})
            out[f"ddim.{schedule}.{prediction}"] = (DDIMScheduler, {**betas, "prediction_type": prediction}, {})
        out[f"ddim.{schedule}.offset1"] = (
            DDIMScheduler, {**betas, "steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}, {},
        )
        for short, kind, ratio, most, extra in (
            ("ddpm", DDPMScheduler, 0.9, 100.0, {}),
            ("ddpm.v", DDPMScheduler, 0.5, 1.0, {"prediction_type": "v_prediction"}),
            ("ddim", DDIMScheduler, 0.75, 1.5, {"clip_sample": False}),
            ("dpm++", DPMSolverMultistepScheduler, 0.995, 2.0, {}),
            ("dpm++.sample", DPMSolverMultistepScheduler, 1.0, 1e6, {"prediction_type": "sample"}),
        ):
            threshold = {"thresholding": True, "dynamic_thresholding_ratio": ratio, "sample_max_value": most}
            out[f"{short}.{schedule}.threshold"] = (kind, {**betas, **threshold, **extra}, {})
        out[f"ddim.{schedule}.zero_snr"] = (
            DDIMScheduler,
            {**betas, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
            {},
        )
    return out


def write_schedulers(out_dir):
    """Ten steps of the toy model under each scheduler; noise of step i is noise[i] wherever noise is used."""
    steps, shape = 10, (1, 3, 2, 2)
    tensors = {"start": fixed(shape, 11), "noise": torch.stack([fixed(shape, 20 + i) for i in range(steps)])}
    listing = {}
    for name, (kind, config, step_arguments) in trajectories().items():
        scheduler = kind(num_train_timesteps=1000, **config)
        scheduler.set_timesteps(steps)
        with_variance = config.get("variance_type", "").startswith("learned")
        x, path, guesses = tensors["start"], [], []
        for i, t in enumerate(scheduler.timesteps):
            arguments = dict(step_arguments)
            if kind is DDIMScheduler and arguments.get("eta"):
                arguments["variance_noise"] = tensors["noise"][i]
            ddpm_module.randn_tensor = lambda *args, noise=tensors["noise"][i], **kwargs: noise
            result = scheduler.step(toy_model(x, t, with_variance), t, x, **arguments)
            x = result.prev_sample
            path.append(x)
            if kind is not DPMSolverMultistepScheduler:
                guesses.append(result.pred_original_sample)
        tensors[f"{name}.timesteps"] = scheduler.timesteps
        tensors[f"{name}.path"] = torch.stack(path)
        if guesses:
            tensors[f"{name}.pred_original_sample"] = torch.stack(guesses)
        assert torch.isfinite(tensors[f"{name}.path"]).all(), name
        listing[name] = {"class": kind.__name__, "config": config, "step": step_arguments}
    for spacing in ("linspace", "leading", "trailing"):
        for count in STEP_COUNTS:
            for short, kind in (("ddim", DDIMScheduler), ("dpm++", DPMSolverMultistepScheduler)):
                scheduler = kind(timestep_spacing=spacing)
                scheduler.set_timesteps(count)
                tensors[f"timesteps.{short}.{spacing}.{count}"] = scheduler.timesteps.int()
    common.save_tensors(f"{out_dir}/schedulers.safetensors", tensors)
    return listing


def write_solver_runs(out_dir):
    """Runs that stay near the data without clipping, with the outputs that the network gave, for solvers."""
    shape = (1, 3, 2, 2)
    tensors, listing = {"start": fixed(shape, 12)}, {}
    for schedule in ("squaredcos_cap_v2", "linear"):
        for kind, steps, config in (
            (DPMSolverMultistepScheduler, 2, {}),
            (DPMSolverMultistepScheduler, 10, {}),
            (DPMSolverMultistepScheduler, 10, {"timestep_spacing": "leading"}),
            (DPMSolverMultistepScheduler, 10, {"timestep_spacing": "trailing"}),
            (DPMSolverMultistepScheduler, 20, {}),
            (DPMSolverMultistepScheduler, 20, {"final_sigmas_type": "sigma_min"}),
            (DPMSolverMultistepScheduler, 20, {"solver_order": 1}),
            (DDIMScheduler, 10, {"clip_sample": False}),
            (DDIMScheduler, 10, {"clip_sample": False, "timestep_spacing": "trailing"}),
        ):
            betas = {"beta_schedule": schedule}
            if schedule == "linear":
                betas.update(beta_start=0.0001, beta_end=0.02)
            scheduler = kind(num_train_timesteps=1000, **betas, **config)
            scheduler.set_timesteps(steps)
            x, outputs, path = tensors["start"], [], []
            for t in scheduler.timesteps:
                outputs.append(toy_noise(scheduler, x, t))
                x = scheduler.step(outputs[-1], t, x).prev_sample
                path.append(x)
            name = f"run.{len(listing)}"
            tensors[f"{name}.timesteps"] = scheduler.timesteps
            tensors[f"{name}.outputs"], tensors[f"{name}.path"] = torch.stack(outputs), torch.stack(path)
            assert tensors[f"{name}.path"].abs().max() < 3, name
            listing[name] = {"class": kind.__name__, "steps": steps, "config": {**betas, **config}}
    common.save_tensors(f"{out_dir}/solver_runs.safetensors", tensors)
    return listing


def write_random(out_dir):
    """torch.randn streams of the CPU generator."""
    tensors = {}
    for seed in (0, 42, 2**40 + 7):
        for size in (1, 5, 15, 16, 17, 31, 40, 768):
            tensors[f"seed{seed}.{size}"] = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        big = torch.randn(12288, generator=torch.Generator().manual_seed(seed))
        tensors[f"seed{seed}.12288.every64"] = big[::64]
        tensors[f"seed{seed}.12288.last32"] = big[-32:]
        tensors[f"seed{seed}.uniform40"] = torch.rand(40, generator=torch.Generator().manual_seed(seed))
    # Small draws are scalar Box-Muller and leave their second value behind for the next small draw.
    sequences = {
        "pipeline": (42, [(1, 32), (1, 32), (1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 16, 16)]),
        "odd": (7, [(5,), (1,), (16,), (3,), (17,), (2,), (40,), (15,), (1,), (1,), (33,)]),
        "batch": (9, [(2, 24), (2, 24), (2, 3, 4, 4)]),
    }
    for name, (seed, shapes) in sequences.items():
        generator = torch.Generator().manual_seed(seed)
        for i, shape in enumerate(shapes):
            tensors[f"sequence.{name}.{i}"] = torch.randn(shape, generator=generator)
    common.save_tensors(f"{out_dir}/random.safetensors", tensors)
    return {name: {"seed": seed, "shapes": shapes} for name, (seed, shapes) in sequences.items()}


def write_operators(out_dir):
    tensors = {}

    def resize(name, x, size, **options):
        tensors[f"{name}.in"], tensors[f"{name}.out"] = x, F.interpolate(x, size=size, **options)

    cubic = {"mode": "bicubic", "align_corners": False}
    resize("bicubic_aa.up4", fixed((1, 2, 8, 8), 1), (32, 32), antialias=True, **cubic)
    resize("bicubic_aa.up4_oblong", fixed((1, 1, 5, 7), 2), (20, 28), antialias=True, **cubic)
    resize("bicubic_aa.up_uneven", fixed((1, 1, 6, 5), 3), (13, 8), antialias=True, **cubic)
    resize("bicubic_aa.down", fixed((1, 2, 24, 20), 4), (9, 7), antialias=True, **cubic)
    resize("bicubic_aa.down4", fixed((1, 1, 16, 16), 5), (4, 4), antialias=True, **cubic)
    resize("bicubic.up4", fixed((1, 1, 5, 7), 6), (20, 28), **cubic)
    resize("bilinear.up4", fixed((1, 1, 5, 7), 7), (20, 28), mode="bilinear", align_corners=False)
    resize("area.down3", fixed((1, 2, 12, 9), 8), (4, 3), mode="area")
    resize("area.uneven", fixed((1, 1, 10, 7), 9), (4, 3), mode="area")
    resize("nearest.up2", fixed((1, 2, 3, 4), 10), (6, 8), mode="nearest")

    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([-1e4, -60.0, -0.0, 1e-6, 60.0, 1e4])])
    tensors["activation.in"] = x
    tensors["activation.gelu"], tensors["activation.silu"] = F.gelu(x), F.silu(x)
    tensors["activation.gelu_tanh"] = F.gelu(x, approximate="tanh")
    tensors["activation.quick_gelu"] = ACT2FN["quick_gelu"](x)

    def affine(name, x, channels, seed):
        tensors[f"{name}.in"] = x
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = 1 + fixed((channels,), seed, 0.3), fixed((channels,), seed + 1, 0.3)
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    x = fixed((2, 12, 5, 3), 30) * 2 + 0.7
    weight, bias = affine("group_norm", x, 12, 31)
    for groups in (1, 3, 4, 12):
        tensors[f"group_norm.out.groups{groups}"] = F.group_norm(x, groups, weight, bias, 1e-5)
    scale_shift = fixed((2, 24), 33, 0.5)
    tensors["group_norm.scale_shift"] = scale_shift
    scale, shift = scale_shift[:, :, None, None].chunk(2, dim=1)
    tensors["group_norm.out.groups3.scale_shift.silu"] = F.silu(F.group_norm(x, 3, weight, bias, 1e-5) * (1 + scale) + shift)

    x = fixed((3, 5, 36), 35) * 3 - 1
    weight, bias = affine("layer_norm", x, 36, 36)
    tensors["layer_norm.out"] = F.layer_norm(x, (36,), weight, bias, 1e-5)

    def convolution(name, x, out_channels, kernel, seed, **options):
        weight = fixed((out_channels, x.shape[1], kernel, kernel), seed, 0.3)
        bias = fixed((out_channels,), seed + 1, 0.3)
        tensors.update({f"{name}.in": x, f"{name}.weight": weight, f"{name}.bias": bias})
        tensors[f"{name}.out"] = F.conv2d(x, weight, bias, **options)

    convolution("conv3x3", fixed((2, 5, 7, 6), 40), 4, 3, 41, padding=1)
    convolution("conv3x3_one_row", fixed((1, 3, 1, 5), 43), 6, 3, 44, padding=1)
    convolution("conv1x1", fixed((1, 7, 4, 3), 46), 5, 1, 47)
    convolution("conv_patch", fixed((1, 3, 14, 14), 49), 8, 7, 50, stride=7)
    tensors["avg_pool.in"] = fixed((1, 2, 6, 4), 52)
    tensors["avg_pool.out"] = F.avg_pool2d(tensors["avg_pool.in"], 2)

    query, key, value = fixed((2, 3, 5, 12), 60), fixed((2, 3, 9, 12), 61), fixed((2, 3, 9, 12), 62)
    bias = torch.zeros(2, 1, 5, 9)
    bias[0, 0, :, 6:] = -10000.0
    bias[1, 0] = torch.full((5, 9), -10000.0).triu(1)
    bias[1, 0, :, 3:5] -= 10000.0
    bias[0, 0, 4] = -10000.0  # a row without any admitted key still has a softmax
    tensors.update({"attention.q": query, "attention.k": key, "attention.v": value, "attention.bias": bias})
    tensors["attention.out"] = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    tensors["attention.out.no_bias"] = F.scaled_dot_product_attention(query, key, value)

    steps = torch.tensor([0, 1, 42, 500, 999])
    tensors["time_embedding.t"] = steps
    for width in (8, 36, 320):
        tensors[f"time_embedding.{width}"] = get_timestep_embedding(
            steps, width, flip_sin_to_cos=True, downscale_freq_shift=0
        )
    common.save_tensors(f"{out_dir}/operators.safetensors", tensors)


def write_resize(out_dir, pictures):
    """PIL's bicubic resize of 8-bit pictures, with the sizes that CLIPImageProcessor gives it."""
    tensors = {}
    for path in sorted(glob.glob(f"{pictures}/*.png")):
        name = os.path.splitext(os.path.basename(path))[0]
        picture = Image.open(path).convert("RGB")
        tensors[f"{name}.rgb"] = np.array(picture)
        for edge in (28, 48):
            processor = CLIPImageProcessor(
                size={"shortest_edge": edge}, do_center_crop=False, do_rescale=False, do_normalize=False
            )
            resized = processor(images=picture, return_tensors="np").pixel_values[0]
            assert resized.dtype == np.uint8
            tensors[f"{name}.edge{edge}"] = resized.transpose(1, 2, 0)
    common.save_tensors(f"{out_dir}/pil_resize.safetensors", tensors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir")
    parser.add_argument("--tokenizer", action="append", default=[], metavar="NAME=MODEL_DIR")
    parser.add_argument("--pictures", required=True)
    arguments = parser.parse_args()
    out_dir = arguments.out_dir
    os.makedirs(out_dir, exist_ok=True)
    write_tokenizer(out_dir, [entry.split("=", 1) for entry in arguments.tokenizer])
    write_operators(out_dir)
    write_resize(out_dir, arguments.pictures)
    listing = {
        "versions": common.versions(),
        "unclip_scheduler": write_unclip_scheduler(out_dir),
        "schedulers": write_schedulers(out_dir),
        "solver_runs": write_solver_runs(out_dir),
        "random_sequences": write_random(out_dir),
    }
    common.save_json(f"{out_dir}/units.json", listing)


if __name__ == "__main__":
    main()
