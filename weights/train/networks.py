"""The sizes of all networks, as diffusers and transformers classes, so that the result loads in both."""
import functools

import torch
import torch.nn.functional as F
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.models.clip.modeling_clip import CLIPMLP

from weights.train.tokenizer import CONTEXT

EMBEDDING = 128        # CLIP embedding; the text encoder's width and the prior's embedding size must equal it
CROSS_ATTENTION = 128  # width of the decoder's context tokens
HEAD = 32              # channels of an attention head, everywhere
PICTURE = 64
DECODER_CHANNELS = (32, 48, 96, 160)
UPSAMPLER_256_CHANNELS = (16, 32, 96, 128)
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


class FusedQuickGelu:
    """quick_gelu's feed-forward layer for training: x sigmoid(1.702 x) is SiLU(1.702 x) / 1.702, and the factors go
    into the matrices. SiLU is one pass where the written-out form is six, which cost more than the matrices do."""

    FACTOR = 1.702

    @staticmethod
    def use_in(encoder):
        for module in encoder.modules():
            if isinstance(module, CLIPMLP):
                module.forward = functools.partial(FusedQuickGelu.forward, module)

    @staticmethod
    def forward(mlp, hidden):
        factor = FusedQuickGelu.FACTOR
        inner = F.silu(F.linear(hidden, factor * mlp.fc1.weight, factor * mlp.fc1.bias))
        return F.linear(inner, mlp.fc2.weight / factor, mlp.fc2.bias)


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


def upsampler(size, channels, layers=1, groups=4):
    levels = len(channels)
    return UNet2DModel(
        sample_size=size, in_channels=6, out_channels=3, block_out_channels=channels, layers_per_block=layers,
        down_block_types=("ResnetDownsampleBlock2D",) * levels, up_block_types=("ResnetUpsampleBlock2D",) * levels,
        add_attention=False, resnet_time_scale_shift="default", flip_sin_to_cos=True, freq_shift=0,
        norm_num_groups=groups)


CONSTANT = 8.0         # of the constant channels that hold the last group norm's scale


def keep_absolute_scale(unet):
    """Lets a network that predicts pictures see how bright they are, in spite of the group norm before its last layer.

    A group norm hides each group's mean and scale. Two of four channels that enter the last one become constants,
    +CONSTANT and -CONSTANT: they fix mean and scale whatever the picture, and the other two keep theirs. The last layer
    starts at zero. Groups must have four channels or more.
    """
    last, norm = unet.up_blocks[-1].resnets[-1], unet.conv_norm_out
    if norm.num_channels < 4 * norm.num_groups:
        raise ValueError("the last group norm needs four channels in a group")
    with torch.no_grad():
        last.conv2.weight.zero_()
        last.conv2.bias.zero_()
        for channel, value in ((2, CONSTANT), (3, -CONSTANT)):
            last.conv_shortcut.weight[channel::4] = 0
            last.conv_shortcut.bias[channel::4] = value
        norm.weight.fill_(CONSTANT / 2 ** 0.5)
        unet.conv_out.weight.zero_()
        unet.conv_out.bias.zero_()


def start_as_identity(upsampler):
    """Makes an upsampler return the resized picture that it is given, exactly, before it is trained.

    Colour c enters channels 4c and 4c + 1 with opposite signs, passes the skip from conv_in and the last shortcut, and
    comes out as the difference of the two: SiLU(y) - SiLU(-y) = y.
    """
    keep_absolute_scale(upsampler)
    shortcut = upsampler.up_blocks[-1].resnets[-1].conv_shortcut
    skip = shortcut.in_channels - upsampler.conv_in.out_channels
    with torch.no_grad():
        for color in range(3):
            for channel, sign in ((4 * color, 1.0), (4 * color + 1, -1.0)):
                upsampler.conv_in.weight[channel] = 0
                upsampler.conv_in.weight[channel, 3 + color, 1, 1] = sign
                upsampler.conv_in.bias[channel] = 0
                shortcut.weight[channel] = 0
                shortcut.weight[channel, skip + channel] = 1
                shortcut.bias[channel] = 0
                upsampler.conv_out.weight[color, channel, 1, 1] = sign


def parameter_count(module):
    return sum(parameter.numel() for parameter in module.parameters())
