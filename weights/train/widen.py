"""Makes a trained upsampler's inner levels twice as wide without changing what it computes, to train it further.

Every channel of a widened level is there twice, side by side, and each of its two outgoing weights has a random share
of the old one (Net2Net, Chen et al. 2016): the shares differ, so the twins part as soon as they are trained. A group
norm over a widened level beside one that is not has its groups cut elsewhere; a few steps heal that.
"""
import torch

from weights.train import networks

SHARES = 0.3, 0.7


def twins(old, new):
    """For each of `new` channels the old one that it repeats."""
    if new not in (old, 2 * old):
        raise ValueError(f"a level of {old} channels can have {old} or {2 * old}, not {new}")
    return torch.arange(new) // (new // old)


class Widener:
    def __init__(self, old, new):
        self.levels = [twins(*pair) for pair in zip(old.config.block_out_channels, new.config.block_out_channels)]

    def level(self, k):
        return self.levels[max(0, min(k, len(self.levels) - 1))]

    def joined(self, *levels):
        """The channels of several levels, one after the other, as the up path joins them."""
        chosen, start = [], 0
        for k in levels:
            chosen.append(self.level(k) + start)
            start = int(chosen[-1][-1]) + 1
        return torch.cat(chosen)

    @staticmethod
    def layer(old, new, rows=None, columns=None):
        """A convolution, linear layer or group norm: `rows` and `columns` say which old channels it repeats."""
        with torch.no_grad():
            weight, bias = old.weight, old.bias
            if columns is not None:
                shares = torch.ones(len(weight), len(columns))
                for k in torch.nonzero(columns[1:] == columns[:-1]).flatten():
                    shares[:, k] = torch.empty(len(weight)).uniform_(*SHARES)
                    shares[:, k + 1] = 1 - shares[:, k]
                weight = weight[:, columns] * shares.view(*shares.shape, *[1] * (weight.ndim - 2))
            if rows is not None:
                weight, bias = weight[rows], bias[rows]
            new.weight.copy_(weight)
            new.bias.copy_(bias)

    def residual(self, old, new, entering, leaving):
        self.layer(old.norm1, new.norm1, entering)
        self.layer(old.conv1, new.conv1, leaving, entering)
        self.layer(old.time_emb_proj, new.time_emb_proj, leaving)
        self.layer(old.norm2, new.norm2, leaving)
        self.layer(old.conv2, new.conv2, leaving, leaving)
        if old.conv_shortcut is not None:
            self.layer(old.conv_shortcut, new.conv_shortcut, leaving, entering)

    def __call__(self, old, new):
        new.time_embedding.load_state_dict(old.time_embedding.state_dict())
        self.layer(old.conv_in, new.conv_in, self.level(0))
        for k, (before, after) in enumerate(zip(old.down_blocks, new.down_blocks)):
            for j, pair in enumerate(zip(before.resnets, after.resnets)):
                self.residual(*pair, self.level(k if j else k - 1), self.level(k))
            for pair in zip(before.downsamplers or [], after.downsamplers or []):
                self.residual(*pair, self.level(k), self.level(k))
        deepest = len(self.levels) - 1
        for pair in zip(old.mid_block.resnets, new.mid_block.resnets):
            self.residual(*pair, self.level(deepest), self.level(deepest))
        for i, (before, after) in enumerate(zip(old.up_blocks, new.up_blocks)):
            k = deepest - i
            for j, pair in enumerate(zip(before.resnets, after.resnets)):
                skip = k - 1 if j == len(before.resnets) - 1 else k
                self.residual(*pair, self.joined(k if j else k + 1, skip), self.level(k))
            for pair in zip(before.upsamplers or [], after.upsamplers or []):
                self.residual(*pair, self.level(k), self.level(k))
        self.layer(old.conv_norm_out, new.conv_norm_out, self.level(0))
        self.layer(old.conv_out, new.conv_out, columns=self.level(0))


def widened(old, channels):
    """A network of these channels that computes what the upsampler `old` does."""
    new = networks.upsampler(old.config.sample_size, channels)
    Widener(old, new)(old, new)
    return new
