"""The sizes of all networks, as diffusers and transformers classes, so that the result loads in both."""
import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

from weights.train.tokenizer import CONTEXT

EMBEDDING = 128        # CLIP embedding; the text encoder's width and the prior's embedding size must equal it
CROSS_ATTENTION = 128  # width of the decoder's context tokens
HEAD = 32              # channels of an attention head, everywhere
PICTURE = 64
DECODER_CHANNELS = (32, 64, 96, 160)
UPSAMPLER_256_CHANNELS = (32, 32, 48, 64)
UPSAMPLER_1024_CHANNELS = (16, 16, 32, 32)


def text_encoder(vocabulary_size):
    end = vocabulary_size - 1
    config = CLIPTextConfig(
        vocab_size=vocabulary_size, hidden_size=EMBEDDING, intermediate_size=4 * EMBEDDING,
        projection_dim=EMBEDDING, num_hidden_layers=3, num_attention_heads=EMBEDDING // HEAD,
        max_position_embeddings=CONTEXT, bos_token_id=end - 1, eos_token_id=end, pad_token_id=end,
        hidden_act="quick_gelu")
    # Eager attention: on a CPU the fused one is slower to differentiate.
    return CLIPTextModelWithProjection._from_config(config, attn_implementation="eager")


def image_encoder(width=192, layers=4):
    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, projection_dim=EMBEDDING, num_hidden_layers=layers,
        num_attention_heads=width // HEAD, image_size=PICTURE, patch_size=8, hidden_act="quick_gelu")
    return CLIPVisionModelWithProjection._from_config(config, attn_implementation="eager")


def prior(layers=5):
    return PriorTransformer(num_attention_heads=EMBEDDING // HEAD, attention_head_dim=HEAD, num_layers=layers,
                            embedding_dim=EMBEDDING, num_embeddings=CONTEXT, additional_embeddings=4)


def decoder(channels=DECODER_CHANNELS, layers=1):
    plain_down, plain_up = "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
    attend_down, attend_up = "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnUpBlock2D"
    return UNet2DConditionModel(
        sample_size=PICTURE, in_channels=3, out_channels=6, block_out_channels=channels, layers_per_block=layers,
        down_block_types=(plain_down, plain_down, attend_down, attend_down),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=(attend_up, attend_up, plain_up, plain_up),
        attention_head_dim=HEAD, cross_attention_dim=CROSS_ATTENTION, class_embed_type="identity",
        resnet_time_scale_shift="scale_shift", flip_sin_to_cos=True, freq_shift=0, norm_num_groups=8)


def text_projection(channels=DECODER_CHANNELS):
    return UnCLIPTextProjModel(clip_extra_context_tokens=4, clip_embeddings_dim=EMBEDDING,
                               time_embed_dim=4 * channels[0], cross_attention_dim=CROSS_ATTENTION)


def upsampler(size, channels, layers=1, groups=8):
    levels = len(channels)
    return UNet2DModel(
        sample_size=size, in_channels=6, out_channels=3, block_out_channels=channels, layers_per_block=layers,
        down_block_types=("ResnetDownsampleBlock2D",) * levels, up_block_types=("ResnetUpsampleBlock2D",) * levels,
        add_attention=False, resnet_time_scale_shift="default", flip_sin_to_cos=True, freq_shift=0,
        norm_num_groups=groups)


def keep_absolute_scale(unet, offset=2.0):
    """Lets a network that predicts pictures see how bright they are, in spite of the group norm before its last layer.

    The channels that enter that norm get constant offsets of alternating sign. They dominate each group's variance, so
    that the norm divides by nearly the same number whatever the picture. The last layer starts at zero.
    """
    last = unet.up_blocks[-1].resnets[-1].conv2
    signs = 1 - 2 * (torch.arange(last.out_channels) % 2)
    with torch.no_grad():
        last.bias.copy_(offset * signs)
        unet.conv_out.weight.zero_()
        unet.conv_out.bias.zero_()


def parameter_count(module):
    return sum(parameter.numel() for parameter in module.parameters())
