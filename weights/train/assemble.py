"""Puts the trained networks together as one model directory.

    python -m weights.train.assemble --out DIR --model MODEL [--dtype float16] [--fallback OTHER_MODEL]

DIR holds the training's checkpoints; every network's moving average becomes its weights. A network without a
checkpoint is taken from DIR, where its script saved it, or from the fallback model. The priors' statistics and tables
stay in single precision. An autoregressive prior is optional: the model has one when DIR has one.
"""
import argparse
import json
import pathlib
import shutil

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from weights.train import networks, sampling
from weights.train.decoder import Decoder
from weights.train.prior_ar import AutoregressivePrior

CLASSES = {"text_encoder": CLIPTextModelWithProjection, "image_encoder": CLIPVisionModelWithProjection,
           "prior": PriorTransformer, "decoder": UNet2DConditionModel, "text_proj": UnCLIPTextProjModel,
           "super_res_first": UNet2DModel, "super_res_1024": UNet2DModel}
MODEL_INDEX = {
    "_class_name": "UnCLIPPipeline", "_diffusers_version": "0.33.1",
    "decoder": ["diffusers", "UNet2DConditionModel"], "decoder_scheduler": ["diffusers", "UnCLIPScheduler"],
    "prior": ["diffusers", "PriorTransformer"], "prior_scheduler": ["diffusers", "UnCLIPScheduler"],
    "super_res_first": ["diffusers", "UNet2DModel"], "super_res_last": ["diffusers", "UNet2DModel"],
    "super_res_scheduler": ["diffusers", "UnCLIPScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"], "text_proj": ["unclip", "UnCLIPTextProjModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"]}


def averages(out, start):
    """The moving averages of unfinished runs, saved as folders in `out`."""
    checkpoints = out / "checkpoints"
    if (checkpoints / "decoder.pt").exists():
        model = Decoder(start)
        model.load_state_dict(torch.load(checkpoints / "decoder.pt", map_location="cpu")["average"])
        model.decoder.save_pretrained(out / "decoder")
        model.text_proj.save_pretrained(out / "text_proj")
    makers = {"prior": networks.prior,
              "super_res_first": lambda: networks.upsampler(256, networks.UPSAMPLER_256_CHANNELS),
              "super_res_1024": lambda: networks.upsampler(1024, networks.UPSAMPLER_1024_CHANNELS)}
    for name, make in makers.items():
        if (checkpoints / f"{name}.pt").exists():
            model = make()
            model.load_state_dict(torch.load(checkpoints / f"{name}.pt", map_location="cpu")["average"])
            model.save_pretrained(out / name)
    if (checkpoints / "prior_ar.pt").exists():
        model = AutoregressivePrior(json.loads((out / "prior_ar" / "config.json").read_text()))
        model.load_state_dict(torch.load(checkpoints / "prior_ar.pt", map_location="cpu")["average"])
        model.save(out / "prior_ar")


def copy_prior_ar(source, target, dtype):
    """The network in `dtype`; its components, buckets and quantiles as they were fitted."""
    tables = ("pca.", "buckets.", "dot.")
    tensors = {name: value if name.startswith(tables) else value.to(dtype)
               for name, value in load_file(source / "model.safetensors").items()}
    target.mkdir(exist_ok=True)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(source / "config.json", target / "config.json")


def assemble(out, model, dtype, fallback, kind):
    for name, cls in CLASSES.items():
        source = out / name
        if not (source / "config.json").exists():
            source = fallback / name
        network = cls.from_pretrained(source, torch_dtype=torch.float32)
        statistics = [network.clip_mean.data, network.clip_std.data] if name == "prior" else []
        network.to(dtype)
        if statistics:
            network.clip_mean.data, network.clip_std.data = statistics
        network.save_pretrained(model / name)
        forget_origin(model / name / "config.json")
    if (out / "prior_ar" / "model.safetensors").exists():
        copy_prior_ar(out / "prior_ar", model / "prior_ar", dtype)
    shutil.copytree(model / "super_res_first", model / "super_res_last", dirs_exist_ok=True)
    shutil.copytree(out / "tokenizer", model / "tokenizer", dirs_exist_ok=True)
    for name, scheduler in sampling.schedulers(kind).items():
        scheduler.save_pretrained(model / name)
    write_json(model / "model_index.json", MODEL_INDEX)
    settings = {"name": "solids", "license": "Apache-2.0", "defaults": sampling.DEFAULTS}
    if (out / "checkpoints" / "clip.pt").exists():
        clip = torch.load(out / "checkpoints" / "clip.pt", map_location="cpu")["average"]
        settings["logit_scale"] = round(float(clip["log_scale"].exp()), 4)
    elif fallback and (fallback / "unclip.json").exists():
        settings["logit_scale"] = json.loads((fallback / "unclip.json").read_text())["logit_scale"]
    write_json(model / "unclip.json", settings)
    (model / "feature_extractor").mkdir(exist_ok=True)
    size = networks.PICTURE
    write_json(model / "feature_extractor" / "preprocessor_config.json", {
        "crop_size": {"height": size, "width": size}, "size": {"shortest_edge": size}, "do_center_crop": True,
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3, "rescale_factor": 1 / 255,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_processor_type": "CLIPImageProcessor"})


def forget_origin(path):
    """Takes out the folder on the training machine that the network was loaded from."""
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)
    write_json(path, config)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--fallback", type=pathlib.Path)
    parser.add_argument("--start-from", type=pathlib.Path, help="the model that the decoder's training began with")
    args = parser.parse_args()
    args.model.mkdir(parents=True, exist_ok=True)
    averages(args.out, args.start_from)
    kind = sampling.prediction(args.start_from) if args.start_from else "sample"
    assemble(args.out, args.model, getattr(torch, args.dtype), args.fallback, kind)
    total = sum(path.stat().st_size for path in args.model.rglob("*") if path.is_file())
    print(f"{args.model}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
