"""The judge: a small residual network that names what a 64-pixel picture shows, one linear head per attribute.

It knows nothing of the models that it judges: it is trained on rendered pictures alone (weights.judge.train).
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from weights.train.scenes import (COLORS, GROUNDS, LABEL_CLASSES, LABEL_NAMES, LIGHTS, MATERIALS, RELATIONS, SHAPES,
                                  SIZES)

TRAINED = pathlib.Path(__file__).with_name("judge.safetensors")
PICTURE = 64
WIDTHS = (32, 64, 128)
FEATURES = 384
WORDS = [SHAPES, COLORS, SIZES, MATERIALS] * 2 + [RELATIONS, GROUNDS, LIGHTS]


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.skip = nn.Conv2d(before, after, 1, stride, bias=False) if stride > 1 or before != after else nn.Identity()

    def forward(self, x):
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(inner)) + self.skip(x))


class Judge(nn.Module):
    """[batch, 3, 64, 64] in -1..1 -> one [batch, classes] per label; the last class of an attribute is "absent"."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        widths = (WIDTHS[0], *WIDTHS)
        self.blocks = nn.Sequential(*[
            block for before, after in zip(widths, widths[1:])
            for block in (Block(before, after, 2), Block(after, after, 1))])
        self.mix = nn.Linear(WIDTHS[-1] * (PICTURE // 8) ** 2, FEATURES)
        self.heads = nn.ModuleList(nn.Linear(FEATURES, classes) for classes in LABEL_CLASSES)

    def forward(self, pictures):
        features = F.relu(self.mix(self.blocks(self.stem(pictures)).flatten(1)))
        return [head(features) for head in self.heads]

    @torch.no_grad()
    def read(self, pictures):
        """Labels [batch, 11] of pictures of any size (-1 = absent); large ones are averaged down to 64 pixels."""
        if pictures.shape[-1] != PICTURE:
            pictures = F.interpolate(pictures, size=(PICTURE, PICTURE), mode="area")
        labels = torch.stack([scores.argmax(1) for scores in self(pictures)], dim=1)
        absent = torch.tensor([classes if classes > len(words) else -2
                               for classes, words in zip(LABEL_CLASSES, WORDS)], device=labels.device) - 1
        return torch.where(labels == absent, -1, labels)


def save(state, path):
    """In half precision, which changes no answer that was measured."""
    save_file({name: value.half().contiguous() if value.is_floating_point() else value
               for name, value in state.items()}, path)


def load(path=TRAINED):
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.eval()


def compare(read, truth):
    """Share of pictures right in each attribute that the caption fixes."""
    return {name: float((read[:, k] == truth[:, k]).float().mean()) for k, name in enumerate(LABEL_NAMES)}
