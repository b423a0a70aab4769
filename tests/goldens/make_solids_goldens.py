"""Goldens of the trained model that ships: four prompts at its default settings, through all three stages.

    python make_solids_goldens.py MODEL_DIR OUT_DIR --pictures DIR

OUT_DIR/cases.json names the sha256 of every weight file: a model trained anew needs goldens made anew.
"""
import argparse
import glob
import hashlib
import json
import os

import common
import make_goldens
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

CASES = {
    "cube-on-sphere": ("a red cube on top of a blue sphere", 0),
    "cone": ("a small shiny green cone on grass", 1),
    "empty": ("", 2),
    "sunset": ("a white cube on top of a black sphere at sunset", 3),
}
CROP = slice(448, 576)


def weights_of(folder):
    digests = {}
    for path in sorted(glob.glob(f"{folder}/*/*.safetensors")):
        with open(path, "rb") as file:
            digests[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return digests


def write_case(pipeline, sr1024, settings, name, out_dir):
    single = make_goldens.run_case(pipeline, settings, torch.float32)
    double = make_goldens.run_case(pipeline, settings, torch.float64)
    torch.set_default_dtype(torch.float32)
    third, distances = make_goldens.run_third_stage(sr1024, single, double, settings["seed"])
    keep = ["input_ids", "attention_mask", "text_embeds", "image_embeddings", "decoder_final"]
    common.save_tensors(f"{out_dir}/{name}.safetensors", {key: single[key] for key in keep})
    common.save_png(f"{out_dir}/{name}-256.png", single["image_u8"][0])
    large = third["super_res_1024_final"]
    small = F.interpolate(large.clamp(-1, 1), size=(128, 128), mode="area")
    common.save_png(f"{out_dir}/{name}-1024-by-8.png", make_goldens.to_picture(small)[0])
    common.save_png(f"{out_dir}/{name}-1024-crop.png", make_goldens.to_picture(large)[0][CROP, CROP])
    entry = {key: value for key, value in settings.items() if key != "keep"}
    entry["super_res_1024_steps"] = make_goldens.SR1024_STEPS
    entry["f32_minus_f64"] = {
        **{key: value for key, value in make_goldens.deviations(single, double).items() if key in keep + ["super_res_final"]},
        "super_res_1024_final": distances["super_res_1024_final"],
    }
    return entry


def write_image_embeddings(folder, pictures, out_dir):
    processor = CLIPImageProcessor.from_pretrained(f"{folder}/feature_extractor")
    encoder = CLIPVisionModelWithProjection.from_pretrained(
        f"{folder}/image_encoder", torch_dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tensors = {}
    for path in sorted(glob.glob(f"{pictures}/*.png")):
        name = os.path.splitext(os.path.basename(path))[0]
        pixels = processor(images=Image.open(path), return_tensors="pt").pixel_values
        tensors[f"{name}.image_embeds"] = encoder(pixels).image_embeds
    common.save_tensors(f"{out_dir}/images.safetensors", tensors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir")
    parser.add_argument("out_dir")
    parser.add_argument("--pictures", required=True)
    arguments = parser.parse_args()
    folder, out_dir = arguments.model_dir.rstrip("/"), arguments.out_dir
    os.makedirs(out_dir, exist_ok=True)
    with open(f"{folder}/unclip.json", encoding="utf-8") as file:
        defaults = json.load(file)["defaults"]
    make_goldens.SR1024_STEPS = defaults["sr1024_steps"]
    pipeline = make_goldens.load_pipeline(folder, None)
    sr1024 = make_goldens.load_third_stage(folder)
    listing = {"versions": common.versions(), "weights_sha256": weights_of(folder), "cases": {}}
    for name, (prompt, seed) in CASES.items():
        settings = make_goldens.case(
            prompt, seed, defaults["prior_steps"], defaults["steps"], defaults["sr256_steps"],
            defaults["prior_cfg_scale"], defaults["cfg_scale"],
        )
        listing["cases"][name] = write_case(pipeline, sr1024, settings, name, out_dir)
    write_image_embeddings(folder, arguments.pictures, out_dir)
    common.save_json(f"{out_dir}/cases.json", listing)


if __name__ == "__main__":
    main()
