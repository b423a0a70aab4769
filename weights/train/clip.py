"""Trains CLIP: a text and an image encoder whose embeddings of a caption and its picture agree.

    python -m weights.train.clip --out DIR [--start-from MODEL]

Follows the paper (and CLIP): symmetric contrastive loss over the batch with a learned temperature; causal text
transformer read at <|endoftext|>; vision transformer read at its class token.
Leaves: SAM, the width (embedding 128, not 1024), web data. Adds, because a hundred thousand pictures teach an image
encoder little by contrast alone: linear heads on both embeddings that name the scene's attributes, thrown away
afterwards.

With --start-from both encoders begin with that model's weights. Prior and decoder must be trained on the new embeddings
and text states afterwards.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

from weights.train import networks, tokenizer, training
from weights.train.dataset import Pictures
from weights.train.optimizer import MuonWithAdam
from weights.train.scenes import LABEL_CLASSES, LABEL_NAMES

BATCH = 128
RATE = 1.5e-3
DECAY = 0.05
CONTRAST_WEIGHT, IMAGE_HEADS_WEIGHT, TEXT_HEADS_WEIGHT = 1.0, 1.0, 0.15
LARGEST_SCALE = math.log(60)


class Clip(nn.Module):
    def __init__(self, vocabulary_size):
        super().__init__()
        self.text = networks.text_encoder(vocabulary_size)
        self.image = networks.image_encoder()
        self.image_heads = nn.ModuleList(nn.Linear(networks.EMBEDDING, classes) for classes in LABEL_CLASSES)
        self.text_heads = nn.ModuleList(nn.Linear(networks.EMBEDDING, classes) for classes in LABEL_CLASSES)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def start_from(self, folder):
        self.text.load_state_dict(type(self.text).from_pretrained(folder / "text_encoder").state_dict())
        self.image.load_state_dict(type(self.image).from_pretrained(folder / "image_encoder").state_dict())

    def similarity(self, images, texts):
        scale = self.log_scale.clamp(max=LARGEST_SCALE).exp()
        return scale * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T


def heads_loss(heads, embeddings, labels):
    """Absent things (-1) are the last class."""
    return sum(F.cross_entropy(head(embeddings), labels[:, k] % classes)
               for k, (head, classes) in enumerate(zip(heads, LABEL_CLASSES)))


@torch.no_grad()
def evaluate(clip, words, pictures, device, count=1500):
    """Which of 100 held-out captions belongs to the picture, and each attribute as read by its linear head."""
    clip.eval()
    index = range(count)
    images = torch.cat([clip.image(pictures.pixels(list(index[i:i + 250])).to(device)).image_embeds
                        for i in range(0, count, 250)])
    ids, _ = words(pictures.plain_captions(index), tokenizer.CONTEXT)
    texts = clip.text(ids.to(device)).text_embeds
    labels = pictures.labels[:count].to(device)
    truth = torch.arange(100, device=device)
    hits = [(clip.similarity(images[i:i + 100], texts[i:i + 100]).argmax(1) == truth).float().mean()
            for i in range(0, count, 100)]
    numbers = {"top1_of_100": float(sum(hits) / len(hits))}
    for k, (name, head) in enumerate(zip(LABEL_NAMES, clip.image_heads)):
        numbers[name] = float((head(images).argmax(1) == labels[:, k] % LABEL_CLASSES[k]).float().mean())
    clip.train()
    return numbers


def main():
    args = training.arguments(__doc__, budget=15).parse_args()
    device = training.prepare(args)
    tokenizer.write(args.out / "tokenizer")
    words = tokenizer.WordTokenizer(args.out / "tokenizer")
    pictures = Pictures(args.out / "data", "train*", args.seed)
    test = Pictures(args.out / "data", "test")
    clip = Clip(words.size)
    if args.start_from:
        clip.start_from(args.start_from)
    for encoder in (clip.text, clip.image):
        networks.FusedQuickGelu.use_in(encoder)
    clip.to(device)
    optimizer = MuonWithAdam(clip, RATE, DECAY, betas=(0.9, 0.98))
    run = training.Run("clip", args, clip, optimizer, average_decay=0.998)

    def loss(step, share):
        index = pictures.draw(BATCH)
        ids, _ = words(pictures.free_captions(index))
        labels = pictures.labels[index].to(device)
        with torch.autocast(args.device, torch.bfloat16):
            images = clip.image(pictures.pixels(index).to(device)).image_embeds.float()
            texts = clip.text(ids.to(device)).text_embeds.float()
        similarity = clip.similarity(images, texts)
        truth = torch.arange(BATCH, device=device)
        contrast = 0.5 * (F.cross_entropy(similarity, truth) + F.cross_entropy(similarity.T, truth))
        image_heads = heads_loss(clip.image_heads, images, labels)
        text_heads = heads_loss(clip.text_heads, texts, labels)
        total = CONTRAST_WEIGHT * contrast + IMAGE_HEADS_WEIGHT * image_heads + TEXT_HEADS_WEIGHT * text_heads
        return total, {"contrast": contrast, "image_heads": image_heads, "text_heads": text_heads}

    run.train(loss, lambda: evaluate(clip, words, test, device), evaluate_seconds=120)
    run.log({f"average_{name}": value for name, value in evaluate(clip, words, test, device).items()})
    clip.text.save_pretrained(args.out / "text_encoder")
    clip.image.save_pretrained(args.out / "image_encoder")
    save_embeddings(clip, pictures, args.out, device)


@torch.no_grad()
def save_embeddings(clip, pictures, out, device):
    """The image embedding of every training picture, which the prior and the decoder are trained on."""
    clip.eval()
    parts = []
    for start in range(0, len(pictures), 500):
        pixels = pictures.pixels(range(start, min(start + 500, len(pictures)))).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            parts.append(clip.image(pixels).image_embeds.float().cpu())
    torch.save(torch.cat(parts), out / "embeddings.pt")


if __name__ == "__main__":
    main()
