"""Writes a model directory of Karlo's exact size and layout with random weights. Needs nothing but Python.

    python make_karlo_size.py OUT_DIR [--dtype f16|bf16|f32] [--scale 1|5] [--image-encoder] [--stage-1024]

For timing, memory and loading; the pictures are noise. Full size is 3.42 billion parameters: 6.8 GB in f16, 13.7 GB in f32.
--scale 5 divides the widths by about five (the depth stays): a quick look at the same structure.
--image-encoder adds CLIP ViT-L/14's vision tower, --stage-1024 a 256 -> 1024 network as in table 3 of the paper.

Weights are normal with variance 1 / fan-in, norm gains 1 and biases 0, so activations stay finite. They come from one
block of random numbers whose prime length keeps rows from repeating; each tensor starts elsewhere in it.
check_karlo_size.py compares names and shapes with the classes of diffusers and transformers.
"""
import argparse
import json
import math
import os
import random
import struct
import zlib

BLOCK = 262139
DTYPE_NAMES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}
DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}


class Layers:
    """Shorthands that yield (name, shape); a trailing .bias follows its weight."""

    @staticmethod
    def dense(name, out_features, in_features, bias=True):
        yield f"{name}.weight", (out_features, in_features)
        if bias:
            yield f"{name}.bias", (out_features,)

    @staticmethod
    def conv(name, out_channels, in_channels, kernel):
        yield f"{name}.weight", (out_channels, in_channels, kernel, kernel)
        yield f"{name}.bias", (out_channels,)

    @staticmethod
    def norm(name, width):
        yield f"{name}.weight", (width,)
        yield f"{name}.bias", (width,)


dense, conv, norm = Layers.dense, Layers.conv, Layers.norm


def resnet(name, in_channels, out_channels, time_width, scale_shift):
    yield from norm(f"{name}.norm1", in_channels)
    yield from conv(f"{name}.conv1", out_channels, in_channels, 3)
    yield from dense(f"{name}.time_emb_proj", out_channels * (2 if scale_shift else 1), time_width)
    yield from norm(f"{name}.norm2", out_channels)
    yield from conv(f"{name}.conv2", out_channels, out_channels, 3)
    if in_channels != out_channels:
        yield from conv(f"{name}.conv_shortcut", out_channels, in_channels, 1)


def attention(name, channels, context):
    yield from norm(f"{name}.group_norm", channels)
    for projection in ("to_q", "to_k", "to_v"):
        yield from dense(f"{name}.{projection}", channels, channels)
    for projection in ("add_k_proj", "add_v_proj"):
        yield from dense(f"{name}.{projection}", channels, context)
    yield from dense(f"{name}.to_out.0", channels, channels)


def unet(in_channels, out_channels, channels, layers, attends, context, scale_shift):
    """attends: one flag a level; context None: no attention anywhere."""
    time_width, levels = 4 * channels[0], len(channels)
    block = lambda name, i, o: resnet(name, i, o, time_width, scale_shift)
    yield from conv("conv_in", channels[0], in_channels, 3)
    yield from dense("time_embedding.linear_1", time_width, channels[0])
    yield from dense("time_embedding.linear_2", time_width, time_width)
    width, skips = channels[0], [channels[0]]
    for level, out in enumerate(channels):
        for i in range(layers):
            yield from block(f"down_blocks.{level}.resnets.{i}", width, out)
            if attends[level]:
                yield from attention(f"down_blocks.{level}.attentions.{i}", out, context)
            width = out
            skips.append(out)
        if level < levels - 1:
            yield from block(f"down_blocks.{level}.downsamplers.0", out, out)
            skips.append(out)
    yield from block("mid_block.resnets.0", width, width)
    if context:
        yield from attention("mid_block.attentions.0", width, context)
    yield from block("mid_block.resnets.1", width, width)
    for level, out in enumerate(reversed(channels)):
        for i in range(layers + 1):
            yield from block(f"up_blocks.{level}.resnets.{i}", width + skips.pop(), out)
            if attends[levels - 1 - level]:
                yield from attention(f"up_blocks.{level}.attentions.{i}", out, context)
            width = out
        if level < levels - 1:
            yield from block(f"up_blocks.{level}.upsamplers.0", out, out)
    yield from norm("conv_norm_out", width)
    yield from conv("conv_out", out_channels, width, 3)


def prior(layers, width, embedding, tokens):
    yield "positional_embedding", (1, tokens + 4, width)
    yield "prd_embedding", (1, 1, width)
    yield "clip_mean", (1, embedding)
    yield "clip_std", (1, embedding)
    yield from dense("time_embedding.linear_1", width, width)
    yield from dense("time_embedding.linear_2", width, width)
    for name in ("proj_in", "embedding_proj", "encoder_hidden_states_proj"):
        yield from dense(name, width, embedding)
    for i in range(layers):
        block = f"transformer_blocks.{i}"
        yield from norm(f"{block}.norm1", width)
        for projection in ("to_q", "to_k", "to_v", "to_out.0"):
            yield from dense(f"{block}.attn1.{projection}", width, width)
        yield from norm(f"{block}.norm3", width)
        yield from dense(f"{block}.ff.net.0.proj", 4 * width, width)
        yield from dense(f"{block}.ff.net.2", width, 4 * width)
    yield from norm("norm_out", width)
    yield from dense("proj_to_clip_embeddings", embedding, width)


def text_proj(embedding, time_width, context, extra):
    yield "learned_classifier_free_guidance_embeddings", (embedding,)
    yield from dense("embedding_proj", time_width, embedding)
    yield from dense("clip_image_embeddings_project_to_time_embeddings", time_width, embedding)
    yield from dense("clip_extra_context_tokens_proj", extra * context, embedding)
    yield from dense("encoder_hidden_states_proj", context, embedding)
    yield from norm("text_encoder_hidden_states_norm", context)


def clip_layers(prefix, layers, width):
    for i in range(layers):
        layer = f"{prefix}.encoder.layers.{i}"
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from dense(f"{layer}.self_attn.{projection}", width, width)
        yield from norm(f"{layer}.layer_norm1", width)
        yield from dense(f"{layer}.mlp.fc1", 4 * width, width)
        yield from dense(f"{layer}.mlp.fc2", width, 4 * width)
        yield from norm(f"{layer}.layer_norm2", width)


def text_encoder(layers, width, tokens, vocabulary):
    yield "text_model.embeddings.position_ids", (1, tokens)
    yield "text_model.embeddings.token_embedding.weight", (vocabulary, width)
    yield "text_model.embeddings.position_embedding.weight", (tokens, width)
    yield from clip_layers("text_model", layers, width)
    yield from norm("text_model.final_layer_norm", width)
    yield from dense("text_projection", width, width, bias=False)


def image_encoder(layers, width, patch, positions, embedding):
    yield "vision_model.embeddings.class_embedding", (width,)
    yield "vision_model.embeddings.position_ids", (1, positions)
    yield "vision_model.embeddings.patch_embedding.weight", (width, 3, patch, patch)
    yield "vision_model.embeddings.position_embedding.weight", (positions, width)
    yield from norm("vision_model.pre_layrnorm", width)
    yield from clip_layers("vision_model", layers, width)
    yield from norm("vision_model.post_layernorm", width)
    yield from dense("visual_projection", embedding, width, bias=False)


class Block:
    """The random block, packed once per standard deviation."""

    def __init__(self, dtype):
        generator = random.Random(2204_06125)
        self.values = [generator.gauss(0, 1) for _ in range(BLOCK)]
        self.dtype, self.packed = dtype, {}

    def scaled(self, deviation):
        if deviation not in self.packed:
            values = [deviation * v for v in self.values]
            if self.dtype == "F16":
                data = struct.pack(f"<{BLOCK}e", *values)
            else:
                data = struct.pack(f"<{BLOCK}f", *values)
                if self.dtype == "BF16":  # the upper half of a float, rounded towards zero
                    short = bytearray(2 * BLOCK)
                    short[0::2], short[1::2] = data[2::4], data[3::4]
                    data = bytes(short)
            self.packed[deviation] = data
        return self.packed[deviation]

    def constant(self, value, count):
        one = struct.pack("<e" if self.dtype == "F16" else "<f", value)
        return (one[2:] if self.dtype == "BF16" else one) * count

    def write(self, file, name, shape):
        count = math.prod(shape)
        leaf = name.rsplit(".", 1)[-1]
        if leaf == "position_ids":
            file.write(struct.pack(f"<{count}q", *range(count)))
        elif leaf == "bias" or name == "clip_mean":
            file.write(self.constant(0.0, count))
        elif name == "clip_std" or len(shape) == 1 and leaf == "weight":
            file.write(self.constant(1.0, count))
        else:
            is_table = "embedding" in name and len(shape) < 4 and "proj" not in name and "linear" not in name
            deviation = 0.02 if is_table else 1 / math.sqrt(math.prod(shape[1:]))
            self.write_random(file, self.scaled(deviation), zlib.crc32(name.encode()) % BLOCK, count)

    def write_random(self, file, data, start, count):
        size = DTYPE_BYTES[self.dtype]
        position, left = start * size, count * size
        while left:
            piece = data[position : position + left]
            file.write(piece)
            left -= len(piece)
            position = 0


def write_safetensors(path, tensors, block):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        dtype = "I64" if name.endswith("position_ids") else block.dtype
        end = offset + math.prod(shape) * DTYPE_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            block.write(file, name, shape)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def byte_symbols():
    """CLIP's printable stand-ins for the 256 bytes, in the order of its vocabulary."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def synthetic_merges(count):
    """Every two- and three-letter piece, at the end of a word and inside, then four-letter words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    merges = []
    for length in (2, 3, 4):
        stems = [""]
        for _ in range(length - 1):
            stems = [stem + letter for stem in stems for letter in letters]
        if length < 4:
            merges += [(stem, letter) for stem in stems for letter in letters]
        merges += [(stem, letter + "</w>") for stem in stems for letter in letters]
    return merges[:count]


def write_tokenizer(folder, tokens):
    os.makedirs(folder, exist_ok=True)
    merges = synthetic_merges(48894)
    symbols = byte_symbols()
    vocabulary = symbols + [s + "</w>" for s in symbols] + [a + b for a, b in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(vocabulary)) == len(vocabulary) == 49408
    write_json(f"{folder}/vocab.json", {token: i for i, token in enumerate(vocabulary)})
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    describe = lambda text: {
        "content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False,
    }
    special = {
        "bos_token": describe("<|startoftext|>"),
        "eos_token": describe("<|endoftext|>"),
        "pad_token": "!",
        "unk_token": describe("<|endoftext|>"),
    }
    write_json(f"{folder}/special_tokens_map.json", special)
    typed = lambda value: {"__type": "AddedToken", **value} if isinstance(value, dict) else value
    settings = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": tokens}
    settings.update({name: typed(value) for name, value in special.items()})
    write_json(f"{folder}/tokenizer_config.json", {**settings, "tokenizer_class": "CLIPTokenizer"})


def scheduler_config(variance, prediction, clip):
    return {
        "_class_name": "UnCLIPScheduler", "_diffusers_version": "0.12.0.dev0", "clip_sample": True,
        "clip_sample_range": clip, "num_train_timesteps": 1000, "prediction_type": prediction,
        "variance_type": variance,
    }


def upsampler_config(channels, layers, size):
    levels = len(channels)
    return {
        "_class_name": "UNet2DModel", "_diffusers_version": "0.12.0.dev0", "act_fn": "silu", "add_attention": False,
        "attention_head_dim": 8, "block_out_channels": list(channels), "center_input_sample": False,
        "down_block_types": ["ResnetDownsampleBlock2D"] * levels, "downsample_padding": 1, "flip_sin_to_cos": True,
        "freq_shift": 0, "in_channels": 6, "layers_per_block": layers, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
        "norm_num_groups": 32, "out_channels": 3, "resnet_time_scale_shift": "default", "sample_size": size,
        "time_embedding_type": "positional", "up_block_types": ["ResnetUpsampleBlock2D"] * levels,
    }


def decoder_config(channels, layers, context):
    return {
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.12.0.dev0", "act_fn": "silu",
        "attention_head_dim": 64, "block_out_channels": list(channels), "center_input_sample": False,
        "class_embed_type": "identity", "cross_attention_dim": context,
        "down_block_types": ["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * 3, "downsample_padding": 1,
        "dual_cross_attention": False, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 3,
        "layers_per_block": layers, "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "norm_eps": 1e-05, "norm_num_groups": 32, "num_class_embeds": None, "only_cross_attention": False,
        "out_channels": 6, "resnet_time_scale_shift": "scale_shift", "sample_size": 64,
        "up_block_types": ["SimpleCrossAttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"], "upcast_attention": False,
        "use_linear_projection": False,
    }


def clip_config(kind, **values):
    common = {
        "attention_dropout": 0.0, "dropout": 0.0, "hidden_act": "quick_gelu", "initializer_factor": 1.0,
        "initializer_range": 0.02, "layer_norm_eps": 1e-05, "transformers_version": "4.25.1",
    }
    architecture = {"text": "CLIPTextModelWithProjection", "vision": "CLIPVisionModelWithProjection"}[kind]
    return {"architectures": [architecture], "model_type": f"clip_{kind}_model", **common, **values}


def components(scale):
    """folder -> (configuration, tensors, file name without suffix)."""
    full = scale == 1
    channels = (320, 640, 960, 1280) if full else (64, 128, 192, 256)
    context, embedding, tokens = (1536, 768, 77) if full else (320, 128, 77)
    heads, clip_heads = (32, 12) if full else (6, 2)
    width, name = heads * 64, "diffusion_pytorch_model"
    upsampler = (upsampler_config(channels, 3, 256), unet(6, 3, channels, 3, (0, 0, 0, 0), None, False), name)
    prior_config = {
        "_class_name": "PriorTransformer", "_diffusers_version": "0.12.0.dev0", "additional_embeddings": 4,
        "attention_head_dim": 64, "dropout": 0.0, "embedding_dim": embedding, "num_attention_heads": heads,
        "num_embeddings": tokens, "num_layers": 20,
    }
    text_proj_config = {
        "_class_name": "UnCLIPTextProjModel", "_diffusers_version": "0.12.0.dev0", "clip_embeddings_dim": embedding,
        "clip_extra_context_tokens": 4, "cross_attention_dim": context, "time_embed_dim": 4 * channels[0],
    }
    text_config = clip_config(
        "text", bos_token_id=0, eos_token_id=2, hidden_size=embedding, intermediate_size=4 * embedding,
        max_position_embeddings=tokens, num_attention_heads=clip_heads, num_hidden_layers=12, pad_token_id=1,
        projection_dim=embedding, vocab_size=49408,
    )
    return {
        "prior": (prior_config, prior(20, width, embedding, tokens), name),
        "decoder": (decoder_config(channels, 3, context), unet(3, 6, channels, 3, (0, 1, 1, 1), context, True), name),
        "text_encoder": (text_config, text_encoder(12, embedding, tokens, 49408), "model"),
        "text_proj": (text_proj_config, text_proj(embedding, 4 * channels[0], context, 4), name),
        "super_res_first": upsampler,
        "super_res_last": (upsampler[0], unet(6, 3, channels, 3, (0, 0, 0, 0), None, False), name),
    }


def vision_component(scale):
    width, heads, embedding = (1024, 16, 768) if scale == 1 else (192, 3, 128)
    config = clip_config(
        "vision", hidden_size=width, image_size=224, intermediate_size=4 * width, num_attention_heads=heads,
        num_channels=3, num_hidden_layers=24, patch_size=14, projection_dim=embedding,
    )
    return config, image_encoder(24, width, 14, 257, embedding), "model"


def third_stage_component(scale):
    base = 192 if scale == 1 else 64
    channels = tuple(base * factor for factor in (1, 1, 2, 2, 4, 4))
    return upsampler_config(channels, 2, 1024), unet(6, 3, channels, 2, (0,) * 6, None, False), "diffusion_pytorch_model"


PREPROCESSOR = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
    "do_rescale": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}
INDEX = {
    "_class_name": "UnCLIPPipeline", "_diffusers_version": "0.12.0.dev0",
    "decoder": ["diffusers", "UNet2DConditionModel"], "decoder_scheduler": ["diffusers", "UnCLIPScheduler"],
    "prior": ["diffusers", "PriorTransformer"], "prior_scheduler": ["diffusers", "UnCLIPScheduler"],
    "super_res_first": ["diffusers", "UNet2DModel"], "super_res_last": ["diffusers", "UNet2DModel"],
    "super_res_scheduler": ["diffusers", "UnCLIPScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"], "text_proj": ["unclip", "UnCLIPTextProjModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir")
    parser.add_argument("--dtype", choices=DTYPE_NAMES, default="f16")
    parser.add_argument("--scale", type=int, choices=(1, 5), default=1)
    parser.add_argument("--image-encoder", action="store_true")
    parser.add_argument("--stage-1024", action="store_true")
    arguments = parser.parse_args()
    out = arguments.out_dir
    parts = components(arguments.scale)
    schedulers = {
        "prior_scheduler": scheduler_config("fixed_small_log", "sample", 5.0),
        "decoder_scheduler": scheduler_config("learned_range", "epsilon", 1.0),
        "super_res_scheduler": scheduler_config("fixed_small_log", "epsilon", 1.0),
    }
    if arguments.image_encoder:
        parts["image_encoder"] = vision_component(arguments.scale)
        os.makedirs(f"{out}/feature_extractor", exist_ok=True)
        write_json(f"{out}/feature_extractor/preprocessor_config.json", PREPROCESSOR)
    if arguments.stage_1024:
        parts["super_res_1024"] = third_stage_component(arguments.scale)
        schedulers["super_res_1024_scheduler"] = scheduler_config("fixed_small_log", "epsilon", 1.0)
    write_tokenizer(f"{out}/tokenizer", 77)
    for name, config in schedulers.items():
        os.makedirs(f"{out}/{name}", exist_ok=True)
        write_json(f"{out}/{name}/scheduler_config.json", config)
    write_json(f"{out}/model_index.json", INDEX)
    block, total = Block(DTYPE_NAMES[arguments.dtype]), 0
    for name, (config, tensors, stem) in parts.items():
        os.makedirs(f"{out}/{name}", exist_ok=True)
        write_json(f"{out}/{name}/config.json", config)
        tensors = list(tensors)
        write_safetensors(f"{out}/{name}/{stem}.safetensors", tensors, block)
        count = sum(math.prod(shape) for tensor, shape in tensors if not tensor.endswith("position_ids"))
        total += count
        print(f"{name}: {count:,} parameters", flush=True)
    print(f"total: {total:,} parameters")


if __name__ == "__main__":
    main()
