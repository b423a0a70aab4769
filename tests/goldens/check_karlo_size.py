"""Compares every tensor's name and shape in a model directory with the classes of diffusers and transformers.

    python check_karlo_size.py MODEL_DIR

The classes are built from the configuration files on the meta device, which holds shapes and no numbers.
"""
import argparse
import json
import os
import sys

import common
import torch
from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from safetensors import safe_open
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

CLASSES = {
    "prior": PriorTransformer,
    "decoder": UNet2DConditionModel,
    "text_proj": UnCLIPTextProjModel,
    "super_res_first": UNet2DModel,
    "super_res_last": UNet2DModel,
    "super_res_1024": UNet2DModel,
    "text_encoder": (CLIPTextConfig, CLIPTextModelWithProjection),
    "image_encoder": (CLIPVisionConfig, CLIPVisionModelWithProjection),
}


def expected(name, folder):
    kind = CLASSES[name]
    with torch.device("meta"):
        if isinstance(kind, tuple):
            model = kind[1](kind[0].from_pretrained(folder))
        else:
            with open(f"{folder}/config.json", encoding="utf-8") as file:
                model = kind.from_config(json.load(file))
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def found(folder):
    name = next(entry for entry in os.listdir(folder) if entry.endswith(".safetensors"))
    with safe_open(f"{folder}/{name}", "pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys() if not key.endswith("position_ids")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir")
    folder = parser.parse_args().model_dir
    failed = False
    for name in CLASSES:
        if not os.path.isdir(f"{folder}/{name}"):
            continue
        want, have = expected(name, f"{folder}/{name}"), found(f"{folder}/{name}")
        wrong = sorted(key for key in want.keys() | have.keys() if want.get(key) != have.get(key))
        failed = failed or bool(wrong)
        print(f"{name}: {len(have)} tensors, {len(wrong)} differ", *wrong[:5])
    for name in sorted(os.listdir(folder)):
        if name.endswith("_scheduler"):
            UnCLIPScheduler.from_pretrained(f"{folder}/{name}")
    tokenizer = CLIPTokenizer.from_pretrained(f"{folder}/tokenizer")
    print("tokenizer:", len(tokenizer), "entries;", tokenizer("a red cube!").input_ids)
    sys.exit(failed)


if __name__ == "__main__":
    main()
