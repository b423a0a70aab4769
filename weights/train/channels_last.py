"""Makes a UNet train fast on a CPU: channels innermost, as convolutions want it, and two layers that cost too much.

PyTorch's convolutions on bfloat16 matrix units are two to three times faster with channels innermost, but its group
norm is then differentiated ten times more slowly; GROUP_NORM_BACKWARD does it in two passes. Attention's softmax stays
in bfloat16, without a copy of the scores. Nothing changes on a GPU.
"""
import types

import torch
import torch.nn.functional as F
from torch.utils import cpp_extension

GROUP_NORM_BACKWARD = r"""
#include <torch/extension.h>
#include <ATen/Parallel.h>
#include <vector>

static inline float load(const at::BFloat16 *p) { return static_cast<float>(*p); }

/* gradient, x: [n][pixels][channels]; mean, rstd: [n][groups]; weight: [channels]. Sums of a channel over the pixels
 * first, then every element from two coefficients of its group and one of its channel. */
std::vector<at::Tensor> group_norm_backward(const at::Tensor &gradient, const at::Tensor &x, const at::Tensor &mean,
                                            const at::Tensor &rstd, const at::Tensor &weight) {
    const int64_t n = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3), groups = mean.size(1);
    const int64_t width = channels / groups;
    at::Tensor out = at::empty_like(x);
    at::Tensor sums = at::zeros({n, 2, channels}, weight.options());
    const auto *g = reinterpret_cast<const uint16_t *>(gradient.const_data_ptr<at::BFloat16>());
    const auto *v = reinterpret_cast<const uint16_t *>(x.const_data_ptr<at::BFloat16>());
    auto *o = reinterpret_cast<uint16_t *>(out.mutable_data_ptr<at::BFloat16>());
    const float *w = weight.const_data_ptr<float>();
    const float *m = mean.const_data_ptr<float>(), *r = rstd.const_data_ptr<float>();
    float *s = sums.mutable_data_ptr<float>();
    auto widen = [](uint16_t bits) { uint32_t wide = uint32_t(bits) << 16; float f; memcpy(&f, &wide, 4); return f; };
    auto narrow = [](float f) {
        uint32_t bits; memcpy(&bits, &f, 4);
        return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    };
    at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> scale(channels), slope(channels), shift(channels);
        for (int64_t i = begin; i < end; i++) {
            float *plain = s + i * 2 * channels, *product = plain + channels;
            const uint16_t *gi = g + i * pixels * channels, *vi = v + i * pixels * channels;
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t c = 0; c < channels; c++) {
                    float a = widen(gi[p * channels + c]);
                    plain[c] += a;
                    product[c] += a * widen(vi[p * channels + c]);
                }
            for (int64_t k = 0; k < groups; k++) {
                float mu = m[i * groups + k], rs = r[i * groups + k], all = 0, all_product = 0;
                for (int64_t c = k * width; c < (k + 1) * width; c++) {
                    all += w[c] * plain[c];
                    all_product += w[c] * product[c];
                }
                float count = float(width * pixels);
                float b = (all * mu - all_product) * rs * rs * rs / count;
                for (int64_t c = k * width; c < (k + 1) * width; c++) {
                    scale[c] = w[c] * rs;
                    slope[c] = b;
                    shift[c] = -b * mu - all * rs / count;
                    product[c] = (product[c] - plain[c] * mu) * rs;
                }
            }
            uint16_t *oi = o + i * pixels * channels;
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t c = 0; c < channels; c++) {
                    int64_t at = p * channels + c;
                    oi[at] = narrow(widen(gi[at]) * scale[c] + widen(vi[at]) * slope[c] + shift[c]);
                }
        }
    });
    at::Tensor total = sums.sum(0);
    return {out, total[1], total[0]};
}
"""


class GroupNorm(torch.autograd.Function):
    backward_of_cpu = None

    @staticmethod
    def forward(context, x, weight, bias, groups, eps):
        n, channels = x.shape[:2]
        y, mean, rstd = torch.native_group_norm(x, weight, bias, n, channels, x[0, 0].numel(), groups, eps)
        context.save_for_backward(x, weight, mean.view(n, groups).float(), rstd.view(n, groups).float())
        return y

    @staticmethod
    def backward(context, gradient):
        x, weight, mean, rstd = context.saved_tensors
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        return (*GroupNorm.backward_of_cpu(gradient, x, mean, rstd, weight), None, None)


def _normalise(module, x):
    fast = x.ndim == 4 and x.dtype == torch.bfloat16 and x.is_contiguous(memory_format=torch.channels_last)
    if not fast:
        return F.group_norm(x, module.num_groups, module.weight, module.bias, module.eps)
    return GroupNorm.apply(x, module.weight, module.bias, module.num_groups, module.eps)


class Attention:
    """diffusers' AttnAddedKVProcessor for training: the same sum, its softmax in the type of its input."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        residual = hidden_states
        batch, channels, height, width = hidden_states.shape
        x = hidden_states.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        mask = attn.prepare_attention_mask(attention_mask, height * width, batch)
        x = attn.group_norm(x.transpose(1, 2)).transpose(1, 2)

        def heads(tokens):
            return tokens.view(batch, -1, attn.heads, tokens.shape[-1] // attn.heads).transpose(1, 2)

        query = heads(attn.to_q(x)) * attn.scale
        key = torch.cat([heads(attn.add_k_proj(encoder_hidden_states)), heads(attn.to_k(x))], dim=2)
        value = torch.cat([heads(attn.add_v_proj(encoder_hidden_states)), heads(attn.to_v(x))], dim=2)
        with torch.autocast(x.device.type, enabled=False):
            scores = query @ key.transpose(2, 3)
            if mask is not None:
                scores = scores + mask.view(batch, attn.heads, -1, mask.shape[-1]).to(scores.dtype)
            out = scores.softmax(-1) @ value
        out = attn.to_out[0](out.transpose(1, 2).reshape(batch, height * width, channels))
        out = out.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return out + residual


def use_in(unet):
    """Changes how `unet` is computed on a CPU, not what it computes. Its input should be made channels-last too."""
    if GroupNorm.backward_of_cpu is None:
        built = cpp_extension.load_inline("unclip_group_norm", GROUP_NORM_BACKWARD, functions="group_norm_backward",
                                          extra_cflags=["-O3", "-march=native", "-ffast-math"])
        GroupNorm.backward_of_cpu = built.group_norm_backward
    unet.to(memory_format=torch.channels_last)
    for module in unet.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = types.MethodType(_normalise, module)
