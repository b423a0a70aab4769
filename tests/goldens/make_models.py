"""Writes the tiny random-weight model directories that the parity tests run on.

    python make_models.py OUT_DIR        writes OUT_DIR/tiny-a, OUT_DIR/tiny-b and OUT_DIR/tiny-c

tiny-a  Karlo's structure in small: four levels, two resblocks a level, attention on three of them, 77 tokens,
        pad token "!", quick_gelu, epsilon super-resolution, tokenizer files in the style of 2022.
tiny-b  everything else that the configuration files may say: three levels, one resblock a level, attention on the
        first and last level, head size 12, odd channel counts, 24 tokens, pad token = eos, gelu, default-norm decoder
        and scale-shift super-resolution that predicts the sample, a sharded prior, and a third stage
        (super_res_1024) that diffusers itself does not run.
tiny-c  the smallest one, stored as float16 in *.fp16.safetensors files only (variant="fp16").

Every parameter is drawn from a normal distribution seeded by the tensor's name, scaled so that activations keep
their size. Norm gains, biases and the layers that training usually starts at zero are random too: a test model in
which a parameter does nothing cannot show that the parameter is used.
"""
import argparse
import collections
import json
import math
import os
import shutil
import zlib

import common
import torch
from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

TRAINING_TEXT = """
a photo of a red cube on top of a blue sphere in front of a small green cone the large shiny yellow cylinder to the
left of a matte purple pyramid an oil painting of an astronaut riding a horse on the moon in the style of van gogh a
portrait of an old man with a long white beard high quality highly detailed digital art trending on artstation a cute
corgi wearing a party hat and sunglasses on the beach at sunset a bowl of fruit on a wooden table still life watercolor
drawing of mountains and a river under the stars a robot reading a book in a library cinematic lighting wide angle shot
a cat sitting next to a window looking at the rain black and white photograph of a city street at night two dogs
playing with a ball in the park an illustration of a dragon flying over a medieval castle a teddy bear on a skateboard
in times square macro photo of a flower with water drops a plate of spaghetti with tomato sauce pencil sketch of a
woman reading a newspaper isometric view of a tiny house with a garden a stained glass window of a panda eating bamboo
the quick brown fox jumps over the lazy dog this is what it was they're don't we've i'm you'll he'd it's can't
""".split()


def byte_symbols():
    """CLIP's printable stand-ins for the 256 bytes, in the order of its vocabulary."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    symbols, extra = [chr(b) for b in printable], 0
    for byte in range(256):
        if byte not in printable:
            symbols.append(chr(256 + extra))
            extra += 1
    return symbols


def train_merges(count):
    """Byte-pair merges over the words of TRAINING_TEXT, most frequent pair first, ties alphabetical."""
    words = collections.Counter(TRAINING_TEXT)
    pieces = {word: list(word[:-1]) + [word[-1] + "</w>"] for word in words}
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, parts in pieces.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, parts in pieces.items():
            joined, i = [], 0
            while i < len(parts):
                if tuple(parts[i : i + 2]) == best:
                    joined.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    joined.append(parts[i])
                    i += 1
            pieces[word] = joined
    return merges


def write_tokenizer(folder, merge_count, context, style, pad):
    """Returns the vocabulary size. style "2022" is what Karlo's repository holds, "new" what transformers 4.51 saves."""
    os.makedirs(folder)
    merges = train_merges(merge_count)
    symbols = byte_symbols()
    vocabulary = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(vocabulary)) == len(vocabulary)
    with open(f"{folder}/vocab.json", "w", encoding="utf-8") as file:
        json.dump({token: i for i, token in enumerate(vocabulary)}, file, ensure_ascii=(style == "2022"))
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    if style == "2022":
        described = lambda text: {
            "content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False,
        }
        special = {
            "bos_token": described("<|startoftext|>"),
            "eos_token": described("<|endoftext|>"),
            "pad_token": pad,
            "unk_token": described("<|endoftext|>"),
        }
        common.save_json(f"{folder}/special_tokens_map.json", special)
        settings = {
            "add_prefix_space": False,
            "bos_token": {"__type": "AddedToken", **described("<|startoftext|>")},
            "do_lower_case": True,
            "eos_token": {"__type": "AddedToken", **described("<|endoftext|>")},
            "errors": "replace",
            "model_max_length": context,
            "pad_token": pad,
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": {"__type": "AddedToken", **described("<|endoftext|>")},
        }
        common.save_json(f"{folder}/tokenizer_config.json", settings)
    else:
        tokenizer = CLIPTokenizer(
            f"{folder}/vocab.json", f"{folder}/merges.txt", pad_token=pad, model_max_length=context
        )
        tokenizer.save_pretrained(folder)
    return len(vocabulary)


def gain_of(name):
    """Standard deviation of a weight times the square root of its fan-in."""
    if name.endswith(("to_q.weight", "to_k.weight", "q_proj.weight", "k_proj.weight", "add_k_proj.weight")):
        return 1.4  # softmax rows that are neither flat nor one-hot
    if "to_out" in name or name.endswith(("out_proj.weight", "ff.net.2.weight", "fc2.weight")):
        return 0.7
    if name.endswith("conv_out.weight"):
        return 1.6  # brings the decoder's output to about unit variance
    return 1.0


def randomise(model, seed, epsilon=False):
    """Replaces every parameter; the drawing depends on the tensor's name, not on the order of tensors."""
    for name, parameter in model.named_parameters():
        generator = torch.Generator().manual_seed(seed * 2**32 + zlib.crc32(name.encode()))
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = "norm" in name or "layrnorm" in name
        if name == "clip_std":
            value = 0.5 + 0.15 * noise.abs()
        elif name == "clip_mean":
            value = 0.3 * noise
        elif name.endswith("bias"):
            value = 0.1 * noise
        elif is_norm:
            value = 1.0 + 0.2 * noise
        elif "embedding" in name and parameter.dim() != 2 or name.endswith(("position_embedding.weight", "cfg")):
            value = 0.5 * noise
        elif name.endswith("token_embedding.weight"):
            value = noise
        else:
            fan_in = math.prod(parameter.shape[1:])
            value = noise * gain_of(name) / math.sqrt(fan_in)
        parameter.copy_(value)
    if epsilon:
        lean_towards_denoiser(model)
    return model.eval()


def lean_towards_denoiser(network):
    """Adds to a random epsilon network the path x -> conv_in -> last skip -> conv_out that returns about x.

    A network whose output has nothing to do with its input makes sampling expand: every picture ends saturated and
    float32 rounding grows to whole grey levels. A trained network predicts nearly x at high noise, and so does this.
    """
    last = network.up_blocks[-1].resnets[-1]
    above = last.conv_shortcut.in_channels - network.conv_in.out_channels
    silu_pair = ((0, 1.0), (3, -1.0))  # silu(a) - silu(-a) = a
    for weight in (network.conv_in.weight, last.conv_shortcut.weight, last.conv2.weight):
        weight[:6] *= 0.25
    network.conv_out.weight.mul_(0.25)
    for c in range(3):
        for first, sign in silu_pair:
            network.conv_in.weight[first + c, c, 1, 1] += sign
            last.conv_shortcut.weight[first + c, above + first + c] += 1.0
            network.conv_out.weight[c, first + c, 1, 1] += sign
    return network


def text_encoder(vocabulary, context, hidden, layers, heads, intermediate, act, legacy_eos):
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        projection_dim=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=context,
        hidden_act=act,
        bos_token_id=0 if legacy_eos else vocabulary - 2,
        eos_token_id=2 if legacy_eos else vocabulary - 1,
        pad_token_id=1 if legacy_eos else vocabulary - 1,
    )
    return CLIPTextModelWithProjection(config)


def image_encoder(hidden, layers, heads, intermediate, image, patch, act, projection):
    config = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=intermediate,
        projection_dim=projection,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=image,
        patch_size=patch,
        hidden_act=act,
    )
    return CLIPVisionModelWithProjection(config)


def write_processor(folder, edge, crop, mean, std):
    os.makedirs(folder)
    settings = {
        "crop_size": {"height": crop, "width": crop},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": mean,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": std,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": edge},
    }
    common.save_json(f"{folder}/preprocessor_config.json", settings)


def decoder(sample, channels, layers, attention, head, cross, groups, norm):
    """attention: one flag a level, top level first."""
    down = ["SimpleCrossAttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in attention]
    up = ["SimpleCrossAttnUpBlock2D" if a else "ResnetUpsampleBlock2D" for a in reversed(attention)]
    return UNet2DConditionModel(
        sample_size=sample,
        in_channels=3,
        out_channels=6,
        down_block_types=tuple(down),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=tuple(up),
        block_out_channels=channels,
        layers_per_block=layers,
        cross_attention_dim=cross,
        attention_head_dim=head,
        norm_num_groups=groups,
        norm_eps=1e-5,
        resnet_time_scale_shift=norm,
        class_embed_type="identity",
        act_fn="silu",
    )


def upsampler(sample, channels, layers, groups, norm):
    levels = len(channels)
    return UNet2DModel(
        sample_size=sample,
        in_channels=6,
        out_channels=3,
        down_block_types=("ResnetDownsampleBlock2D",) * levels,
        up_block_types=("ResnetUpsampleBlock2D",) * levels,
        block_out_channels=channels,
        layers_per_block=layers,
        norm_num_groups=groups,
        norm_eps=1e-5,
        resnet_time_scale_shift=norm,
        add_attention=False,
    )


def scheduler(variance, prediction, clip):
    return UnCLIPScheduler(variance_type=variance, prediction_type=prediction, clip_sample_range=clip)


def add_position_ids(path, context):
    """Files of 2022 hold this int64 buffer among the weights; a loader must step over it."""
    tensors = load_file(path)
    tensors["text_model.embeddings.position_ids"] = torch.arange(context)[None]
    save_file(tensors, path, metadata={"format": "pt"})


def write_index(folder):
    index = {
        "_class_name": "UnCLIPPipeline",
        "_diffusers_version": "0.33.1",
        "decoder": ["diffusers", "UNet2DConditionModel"],
        "decoder_scheduler": ["diffusers", "UnCLIPScheduler"],
        "prior": ["diffusers", "PriorTransformer"],
        "prior_scheduler": ["diffusers", "UnCLIPScheduler"],
        "super_res_first": ["diffusers", "UNet2DModel"],
        "super_res_last": ["diffusers", "UNet2DModel"],
        "super_res_scheduler": ["diffusers", "UnCLIPScheduler"],
        "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
        "text_proj": ["unclip", "UnCLIPTextProjModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    common.save_json(f"{folder}/model_index.json", index)


CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def tiny_a(folder):
    vocabulary = write_tokenizer(f"{folder}/tokenizer", 300, 77, "2022", "!")
    width = 32
    models = {
        "text_encoder": text_encoder(vocabulary, 77, width, 3, 2, 128, "quick_gelu", legacy_eos=True),
        "image_encoder": image_encoder(48, 2, 3, 96, 32, 8, "quick_gelu", width),
        "prior": PriorTransformer(
            num_attention_heads=3, attention_head_dim=16, num_layers=2, embedding_dim=width, num_embeddings=77
        ),
        "text_proj": UnCLIPTextProjModel(clip_embeddings_dim=width, time_embed_dim=32, cross_attention_dim=40),
        "decoder": decoder(16, (8, 8, 16, 16), 2, (0, 1, 1, 1), 8, 40, 4, "scale_shift"),
        "super_res_first": upsampler(64, (8, 8, 8, 8), 2, 4, "default"),
        "super_res_last": upsampler(64, (8, 8, 8, 8), 2, 4, "default"),
    }
    schedulers = {
        "prior_scheduler": scheduler("fixed_small_log", "sample", 5.0),
        "decoder_scheduler": scheduler("learned_range", "epsilon", 1.0),
        "super_res_scheduler": scheduler("fixed_small_log", "epsilon", 1.0),
    }
    write_processor(f"{folder}/feature_extractor", 32, 32, CLIP_MEAN, CLIP_STD)
    for i, (name, model) in enumerate(models.items()):
        epsilon = name == "decoder" or name.startswith("super_res")
        randomise(model, 100 + i, epsilon).save_pretrained(f"{folder}/{name}")
    add_position_ids(f"{folder}/text_encoder/model.safetensors", 77)
    for name, value in schedulers.items():
        value.save_pretrained(f"{folder}/{name}")
    write_index(folder)


def tiny_b(folder):
    vocabulary = write_tokenizer(f"{folder}/tokenizer", 150, 24, "new", "<|endoftext|>")
    width = 24
    models = {
        "text_encoder": text_encoder(vocabulary, 24, width, 2, 3, 60, "gelu", legacy_eos=False),
        "image_encoder": image_encoder(40, 3, 2, 72, 28, 7, "gelu", width),
        "prior": PriorTransformer(
            num_attention_heads=3, attention_head_dim=12, num_layers=3, embedding_dim=width, num_embeddings=24
        ),
        "text_proj": UnCLIPTextProjModel(
            clip_embeddings_dim=width, time_embed_dim=48, cross_attention_dim=20, clip_extra_context_tokens=3
        ),
        "decoder": decoder(12, (12, 12, 24), 1, (1, 0, 1), 12, 20, 3, "default"),
        "super_res_first": upsampler(48, (6, 6, 12), 1, 3, "scale_shift"),
        "super_res_last": upsampler(48, (6, 6, 12), 1, 3, "scale_shift"),
        "super_res_1024": upsampler(192, (6, 10), 1, 2, "default"),
    }
    schedulers = {
        "prior_scheduler": scheduler("fixed_small_log", "sample", 10.0),
        "decoder_scheduler": scheduler("learned_range", "epsilon", 1.0),
        "super_res_scheduler": scheduler("fixed_small_log", "sample", 1.0),
        "super_res_1024_scheduler": scheduler("fixed_small_log", "sample", 1.0),
    }
    write_processor(f"{folder}/feature_extractor", 36, 28, [0.5, 0.45, 0.4], [0.5, 0.25, 0.3])
    for i, (name, model) in enumerate(models.items()):
        options = {"max_shard_size": "80KB"} if name == "prior" else {}
        randomise(model, 200 + i, name == "decoder").save_pretrained(f"{folder}/{name}", **options)
    for name, value in schedulers.items():
        value.save_pretrained(f"{folder}/{name}")
    write_index(folder)


def tiny_c(folder):
    vocabulary = write_tokenizer(f"{folder}/tokenizer", 60, 16, "new", "!")
    width = 16
    models = {
        "text_encoder": text_encoder(vocabulary, 16, width, 1, 2, 32, "quick_gelu", legacy_eos=False),
        "prior": PriorTransformer(
            num_attention_heads=2, attention_head_dim=8, num_layers=1, embedding_dim=width, num_embeddings=16
        ),
        "text_proj": UnCLIPTextProjModel(clip_embeddings_dim=width, time_embed_dim=32, cross_attention_dim=16),
        "decoder": decoder(8, (8, 16), 1, (0, 1), 16, 16, 4, "scale_shift"),
        "super_res_first": upsampler(32, (8, 8), 1, 4, "default"),
        "super_res_last": upsampler(32, (8, 8), 1, 4, "default"),
    }
    schedulers = {
        "prior_scheduler": scheduler("fixed_small_log", "sample", 5.0),
        "decoder_scheduler": scheduler("learned_range", "epsilon", 1.0),
        "super_res_scheduler": scheduler("fixed_small_log", "epsilon", 1.0),
    }
    for i, (name, model) in enumerate(models.items()):
        epsilon = name == "decoder" or name.startswith("super_res")
        randomise(model, 300 + i, epsilon).half().save_pretrained(f"{folder}/{name}", variant="fp16")
    for name, value in schedulers.items():
        value.save_pretrained(f"{folder}/{name}")
    write_index(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir")
    out_dir = parser.parse_args().out_dir
    for name, write in (("tiny-a", tiny_a), ("tiny-b", tiny_b), ("tiny-c", tiny_c)):
        folder = f"{out_dir}/{name}"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        write(folder)


if __name__ == "__main__":
    main()
