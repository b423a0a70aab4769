"""Runs a model directory through diffusers' UnCLIPPipeline on the CPU in float32 and records every stage.

    python make_goldens.py MODEL_DIR OUT_DIR [--variant fp16] [--pictures DIR]

The cases are those of CASES for the directory's name (tiny-a, tiny-b, tiny-c). Each case becomes OUT_DIR/<case>.safetensors
plus one PNG a picture; OUT_DIR/cases.json lists prompts, seeds, settings and, for every recorded tensor, how far float32 lies
from the same run in float64 (noise and schedule scalars kept in float32): the honest floor for a tolerance.
"""
import argparse
import glob
import json
import os

import common
import diffusers.pipelines.unclip.pipeline_unclip as pipeline_module
import diffusers.pipelines.unclip.pipeline_unclip_image_variation as variation_module
import diffusers.schedulers.scheduling_unclip as scheduler_module
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UnCLIPImageVariationPipeline, UnCLIPPipeline, UnCLIPScheduler, UNet2DModel
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from transformers import CLIPImageProcessor, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

LONG = (
    "an oil painting of an astronaut riding a horse on the moon in the style of van gogh , highly detailed , "
    "trending on artstation , cinematic lighting , wide angle shot , "
) * 3
UNICODE = "Ein CAFÉ\u0301 in Zürich — 東京の夜景, naïve 🎨 ½ don't!"


def case(prompts, seed, prior, decoder, super_res, prior_scale=4.0, decoder_scale=8.0, images=1, keep="brief"):
    return {
        "prompts": prompts if isinstance(prompts, list) else [prompts],
        "seed": seed,
        "prior_steps": prior,
        "decoder_steps": decoder,
        "super_res_steps": super_res,
        "prior_guidance_scale": prior_scale,
        "decoder_guidance_scale": decoder_scale,
        "images_per_prompt": images,
        "keep": keep,
    }


CASES = {
    "tiny-a": {
        "main": case("a red cube on top of a blue sphere!", 42, 5, 4, 3, keep="full"),
        "plain": case(UNICODE, 7, 3, 3, 3, 1.0, 1.0, keep="stages"),
        "pair": case("", 2**40 + 7, 2, 2, 2, images=2),
        "karlo": case(LONG, 1234567, 25, 25, 7),
        "batch": case(["a corgi wearing a party hat", "!!"], 0, 4, 3, 4, 2.0, 3.0),
        "prior-unguided": case("two dogs in the park", 3, 3, 3, 3, 1.0, 3.0),
        "decoder-unguided": case("two dogs in the park", 3, 3, 3, 4, 3.0, 1.0),
    },
    "tiny-b": {
        "main": case("a robot reading a book", 11, 7, 6, 4, 2.0, 3.0, keep="full"),
        "plain": case(UNICODE, 12, 3, 5, 2, 1.0, 1.0),
        "pair": case(LONG, 13, 10, 10, 3, 4.0, 8.0, images=2),
        "batch": case(["a teddy bear", "a lamp after the end!"], 14, 4, 3, 2, 1.5, 2.5),
    },
    "tiny-c": {
        "main": case("the quick brown fox", 21, 3, 3, 3, keep="full"),
    },
}
SR1024_STEPS = 2
TEXT_PROMPTS = ["a red cube on top of a blue sphere!", "", UNICODE, LONG, "!! a cat ! sitting", "<|endoftext|> a dog <|startoftext|>"]


class Noise:
    """Stands in for diffusers' randn_tensor: draws in float32 whatever the run's dtype, and keeps what it drew."""

    def __init__(self):
        self.draws = []

    def __call__(self, shape, generator=None, device=None, dtype=None, layout=None):
        drawn = randn_tensor(shape, generator=generator, device=torch.device("cpu"), dtype=torch.float32)
        self.draws.append(drawn)
        return drawn.to(dtype)

    def install(self):
        for module in (pipeline_module, variation_module, scheduler_module):
            module.randn_tensor = self
        return self


class Recorder:
    """Keeps the keyword arguments and the outputs of every call of the pipeline's networks."""

    def __init__(self, pipeline, names):
        self.calls = {name: [] for name in names}
        self.handles = []
        for name in names:
            module = getattr(pipeline, name)
            hook = lambda _, args, kwargs, output, name=name: self.calls[name].append((args, kwargs, output))
            self.handles.append(module.register_forward_hook(hook, with_kwargs=True))

    def close(self):
        for handle in self.handles:
            handle.remove()


def load_pipeline(folder, variant):
    text_encoder = CLIPTextModelWithProjection.from_pretrained(
        f"{folder}/text_encoder", variant=variant, torch_dtype=torch.float32, attn_implementation="eager"
    )
    pipeline = UnCLIPPipeline.from_pretrained(
        folder, variant=variant, torch_dtype=torch.float32, low_cpu_mem_usage=False, text_encoder=text_encoder
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.prior.set_default_attn_processor()
    pipeline.decoder.set_default_attn_processor()
    return pipeline


def run_case(pipeline, settings, dtype):
    """One run of the pipeline -> every tensor of interest, by name."""
    pipeline.to(dtype)
    torch.set_default_dtype(dtype)  # transformers builds its causal mask in the default type
    noise = Noise().install()
    recorder = Recorder(pipeline, ["text_encoder", "prior", "text_proj", "decoder", "super_res_first", "super_res_last"])
    image = pipeline(
        prompt=settings["prompts"],
        num_images_per_prompt=settings["images_per_prompt"],
        prior_num_inference_steps=settings["prior_steps"],
        decoder_num_inference_steps=settings["decoder_steps"],
        super_res_num_inference_steps=settings["super_res_steps"],
        generator=torch.Generator("cpu").manual_seed(settings["seed"]),
        prior_guidance_scale=settings["prior_guidance_scale"],
        decoder_guidance_scale=settings["decoder_guidance_scale"],
        output_type="np",
    ).images
    recorder.close()
    calls = recorder.calls
    batch = image.shape[0]
    prior_calls, decoder_calls = calls["prior"], calls["decoder"]
    super_res_calls = calls["super_res_first"] + calls["super_res_last"]
    draws = iter(noise.draws)
    take = lambda count: [next(draws) for _ in range(count)]
    out = {}

    out["prior_latents"], prior_noise = take(1)[0], take(settings["prior_steps"] - 1)
    out["decoder_latents"], decoder_noise = take(1)[0], take(settings["decoder_steps"] - 1)
    out["super_res_latents"], super_res_noise = take(1)[0], take(settings["super_res_steps"] - 1)
    assert next(draws, None) is None
    out["prior_noise"] = torch.stack(prior_noise)
    out["decoder_noise"] = torch.stack(decoder_noise)
    out["super_res_noise"] = torch.stack(super_res_noise)

    first = prior_calls[0][1]
    out["text_embeds"] = first["proj_embedding"]
    out["last_hidden_state"] = first["encoder_hidden_states"]
    out["text_mask"] = first["attention_mask"].int()
    text_inputs = pipeline.tokenizer(
        settings["prompts"],
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    out["input_ids"] = text_inputs.input_ids
    out["attention_mask"] = text_inputs.attention_mask
    out["prior_timesteps"] = pipeline.prior_scheduler.timesteps
    out["decoder_timesteps"] = pipeline.decoder_scheduler.timesteps
    out["super_res_timesteps"] = pipeline.super_res_scheduler.timesteps

    out["prior_first_output"] = prior_calls[0][2].predicted_image_embedding
    out["prior_last_output"] = prior_calls[-1][2].predicted_image_embedding
    out["prior_steps_in"] = torch.stack([args[0][-batch:] for args, _, _ in prior_calls])
    out["image_embeddings"] = calls["text_proj"][0][1]["image_embeddings"]

    hidden, additive = calls["text_proj"][0][2]
    out["decoder_context"], out["decoder_additive"] = hidden, additive
    out["decoder_mask"] = decoder_calls[0][1]["attention_mask"].int()
    out["decoder_first_output"] = decoder_calls[0][2].sample
    out["decoder_last_output"] = decoder_calls[-1][2].sample
    out["decoder_steps_in"] = torch.stack([kwargs["sample"][-batch:] for _, kwargs, _ in decoder_calls])

    # The decoder's clamped result is what the upsampler saw, by way of the resize.
    out["upscaled"] = super_res_calls[0][1]["sample"][:, 3:]
    out["decoder_final"] = decoder_result(pipeline, settings, decoder_calls)
    size = pipeline.super_res_first.config.sample_size
    again = F.interpolate(out["decoder_final"], size=[size, size], mode="bicubic", align_corners=False, antialias=True)
    assert torch.equal(again, out["upscaled"])

    out["super_res_first_output"] = super_res_calls[0][2].sample
    out["super_res_last_input"] = super_res_calls[-1][1]["sample"][:, :3]
    out["super_res_last_output"] = super_res_calls[-1][2].sample
    last = pipeline.super_res_scheduler.step(
        out["super_res_last_output"], super_res_calls[-1][1]["timestep"], out["super_res_last_input"], None
    ).prev_sample
    out["super_res_final"] = last
    assert np.array_equal((last * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().numpy(), image)
    out["image_u8"] = torch.from_numpy(common.to_uint8(image))
    return out


def decoder_result(pipeline, settings, calls):
    """The last scheduler step again, from the last network call: t is 0 there, so no noise enters."""
    _, kwargs, output = calls[-1]
    sample = output.sample
    batch = len(settings["prompts"]) * settings["images_per_prompt"]
    latents = kwargs["sample"][-batch:]
    if sample.shape[0] == 2 * batch:
        unconditional, conditional = sample.chunk(2)
        unconditional = unconditional[:, :3]
        conditional, variance = conditional.split(3, dim=1)
        guided = unconditional + settings["decoder_guidance_scale"] * (conditional - unconditional)
        sample = torch.cat([guided, variance], dim=1)
    assert int(kwargs["timestep"]) == 0
    return pipeline.decoder_scheduler.step(sample, kwargs["timestep"], latents, None).prev_sample.clamp(-1, 1)


# What a stage test needs to run one stage alone, against what an end-to-end test needs.
BRIEF = [
    "input_ids", "attention_mask", "text_embeds", "prior_timesteps", "decoder_timesteps", "super_res_timesteps",
    "prior_latents", "prior_first_output", "image_embeddings", "decoder_additive", "decoder_latents",
    "decoder_first_output", "decoder_final", "image_u8",
]


def deviations(single, double):
    """Largest absolute distance of the float32 run from the float64 run, per floating tensor."""
    return {
        name: float((single[name].double() - double[name].double()).abs().max())
        for name in single
        if single[name].is_floating_point() and not name.endswith(("_noise", "_latents"))
    }


def write_cases(pipeline, cases, out_dir, sr1024):
    listing = {}
    for name, settings in cases.items():
        single = run_case(pipeline, settings, torch.float32)
        double = run_case(pipeline, settings, torch.float64)
        torch.set_default_dtype(torch.float32)
        pipeline.to(torch.float32)
        entry = {key: value for key, value in settings.items() if key != "keep"}
        entry["f32_minus_f64"] = deviations(single, double)
        u8_distance = (single["image_u8"].int() - double["image_u8"].int()).abs()
        entry["u8_distance_to_f64"] = {"max": int(u8_distance.max()), "mean": float(u8_distance.float().mean())}
        if sr1024 and name == "main":
            third, distances = run_third_stage(sr1024, single, double, settings["seed"])
            write_third_stage(third, out_dir)
            entry["super_res_1024_steps"] = SR1024_STEPS
            entry["f32_minus_f64"].update(distances)
        keep = {
            "full": list(single),
            "stages": [key for key in single if not key.startswith(("super_res", "upscaled"))],
            "brief": BRIEF,
        }[settings["keep"]]
        common.save_tensors(f"{out_dir}/{name}.safetensors", {key: single[key] for key in keep})
        for i, pixels in enumerate(single["image_u8"]):
            common.save_png(f"{out_dir}/{name}-{i}.png", pixels)
        listing[name] = entry
        print(name, {key: f"{value:.1e}" for key, value in entry["f32_minus_f64"].items()}, entry["u8_distance_to_f64"])
    return listing


def third_stage(network, scheduler, image, steps, generator):
    """The 256 -> 1024 stage, run as UnCLIPPipeline runs its 64 -> 256 stage; one network takes every step."""
    scheduler.set_timesteps(steps)
    size, noise = network.config.sample_size, Noise().install()
    latents = noise((image.shape[0], 3, size, size), generator=generator, dtype=image.dtype)
    condition = F.interpolate(
        image.clamp(-1, 1), size=[size, size], mode="bicubic", align_corners=False, antialias=True
    )
    outputs = []
    for i, t in enumerate(scheduler.timesteps):
        outputs.append(network.to(image.dtype)(torch.cat([latents, condition], dim=1), t).sample)
        more = {}
        if isinstance(scheduler, UnCLIPScheduler):
            previous = scheduler.timesteps[i + 1] if i + 1 < len(scheduler.timesteps) else None
            more = {"prev_timestep": previous, "generator": generator}
        latents = scheduler.step(outputs[-1], t, latents, **more).prev_sample
    return {
        "super_res_1024_timesteps": scheduler.timesteps,
        "upscaled_1024": condition,
        "super_res_1024_first_output": outputs[0],
        "super_res_1024_final": latents,
    }


def after_draws(tensors, seed):
    """A generator in the state in which the pipeline's run left it: the draws of the three stages, again."""
    generator = torch.Generator("cpu").manual_seed(seed)
    for stage in ("prior", "decoder", "super_res"):
        first = tensors[f"{stage}_latents"]
        assert torch.equal(torch.randn(first.shape, generator=generator), first)
        for drawn in tensors[f"{stage}_noise"]:
            assert torch.equal(torch.randn(drawn.shape, generator=generator), drawn)
    return generator


def to_picture(latents):
    return common.to_uint8((latents * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().numpy())


def load_third_stage(folder):
    if not os.path.isdir(f"{folder}/super_res_1024"):
        return None
    network = UNet2DModel.from_pretrained(
        f"{folder}/super_res_1024", torch_dtype=torch.float32, low_cpu_mem_usage=False
    ).eval()
    with open(f"{folder}/super_res_1024_scheduler/scheduler_config.json", encoding="utf-8") as file:
        scheduler = {"UnCLIPScheduler": UnCLIPScheduler, "DDIMScheduler": DDIMScheduler}[json.load(file)["_class_name"]]
    return network, scheduler.from_pretrained(f"{folder}/super_res_1024_scheduler")


def run_third_stage(sr1024, single, double, seed):
    """In float32, and how far that is from float64 all the way."""
    tensors = third_stage(*sr1024, single["super_res_final"], SR1024_STEPS, after_draws(single, seed))
    reference = third_stage(*sr1024, double["super_res_final"], SR1024_STEPS, after_draws(single, seed))
    sr1024[0].to(torch.float32)
    return tensors, deviations(tensors, reference)


def write_third_stage(tensors, out_dir):
    window = slice(16, 48)
    windows = {
        f"{name}_window": value[:, :, window, window] for name, value in tensors.items() if value.dim() == 4
    }
    windows["super_res_1024_timesteps"] = tensors["super_res_1024_timesteps"]
    common.save_tensors(f"{out_dir}/main-1024.safetensors", windows)
    common.save_png(f"{out_dir}/main-1024.png", to_picture(tensors["super_res_1024_final"])[0])


def write_text(pipeline, out_dir):
    inputs = pipeline.tokenizer(
        TEXT_PROMPTS,
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    output = pipeline.text_encoder(inputs.input_ids)
    common.save_tensors(
        f"{out_dir}/text.safetensors",
        {
            "input_ids": inputs.input_ids,
            "attention_mask": inputs.attention_mask,
            "text_embeds": output.text_embeds,
            "last_hidden_state": output.last_hidden_state,
        },
    )


def write_images(folder, pipeline, pictures, out_dir, listing):
    """Image encoder goldens, and one run of the image variation pipeline from an embedding."""
    processor = CLIPImageProcessor.from_pretrained(f"{folder}/feature_extractor")
    encoder = CLIPVisionModelWithProjection.from_pretrained(
        f"{folder}/image_encoder", torch_dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tensors = {}
    for path in sorted(glob.glob(f"{pictures}/*.png")):
        name, picture = os.path.splitext(os.path.basename(path))[0], Image.open(path)
        pixels = processor(images=picture, return_tensors="pt").pixel_values
        tensors[f"{name}.pixel_values"] = pixels
        output = encoder(pixels)
        tensors[f"{name}.image_embeds"] = output.image_embeds
    common.save_tensors(f"{out_dir}/images.safetensors", tensors)

    variation = UnCLIPImageVariationPipeline(
        decoder=pipeline.decoder,
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        text_proj=pipeline.text_proj,
        feature_extractor=processor,
        image_encoder=encoder,
        super_res_first=pipeline.super_res_first,
        super_res_last=pipeline.super_res_last,
        decoder_scheduler=pipeline.decoder_scheduler,
        super_res_scheduler=pipeline.super_res_scheduler,
    )
    variation.set_progress_bar_config(disable=True)
    settings = {
        "picture": "tall-rgb", "seed": 5, "decoder_steps": 4, "super_res_steps": 2,
        "decoder_guidance_scale": 3.0, "images_per_prompt": 2,
    }
    noise = Noise().install()
    recorder = Recorder(variation, ["text_proj", "decoder"])
    image = variation(
        image=Image.open(f"{pictures}/{settings['picture']}.png"),
        num_images_per_prompt=settings["images_per_prompt"],
        decoder_num_inference_steps=settings["decoder_steps"],
        super_res_num_inference_steps=settings["super_res_steps"],
        generator=torch.Generator("cpu").manual_seed(settings["seed"]),
        decoder_guidance_scale=settings["decoder_guidance_scale"],
        output_type="np",
    ).images
    recorder.close()
    pixels = common.to_uint8(image)
    common.save_tensors(
        f"{out_dir}/variation.safetensors",
        {
            "image_embeddings": recorder.calls["text_proj"][0][1]["image_embeddings"],
            "decoder_latents": noise.draws[0],
            "decoder_first_output": recorder.calls["decoder"][0][2].sample,
            "image_u8": torch.from_numpy(pixels),
        },
    )
    for i, picture in enumerate(pixels):
        common.save_png(f"{out_dir}/variation-{i}.png", picture)
    listing["variation"] = settings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir")
    parser.add_argument("out_dir")
    parser.add_argument("--variant", help="file variant to load, e.g. fp16; the computation is float32 all the same")
    parser.add_argument("--pictures", help="folder of make_pictures.py: also record the image encoder and a variation")
    arguments = parser.parse_args()
    folder, out_dir = arguments.model_dir.rstrip("/"), arguments.out_dir
    name = os.path.basename(folder)
    os.makedirs(out_dir, exist_ok=True)
    pipeline = load_pipeline(folder, arguments.variant)
    listing = {"model": name, "versions": common.versions(), "text_prompts": TEXT_PROMPTS}
    write_text(pipeline, out_dir)
    listing["cases"] = write_cases(pipeline, CASES[name], out_dir, load_third_stage(folder))
    if arguments.pictures:
        write_images(folder, pipeline, arguments.pictures, out_dir, listing)
    common.save_json(f"{out_dir}/cases.json", listing)


if __name__ == "__main__":
    main()
