"""Trains CLIP: a text and an image encoder whose embeddings of a caption and its picture agree.

    python -m weights.train.clip --out DIR [--start-from MODEL]

Follows the paper (and CLIP): symmetric contrastive loss over the batch with a learned temperature; causal text
transformer read at <|endoftext|>; vision transformer read at its class token.
Leaves: SAM, the width (embedding 128, not 1024), web data. Adds, because a hundred thousand pictures teach an image
encoder little by contrast alone: linear heads on both embeddings that name the scene's attributes, thrown away
afterwards.

With --start-from both encoders begin with that model's weights and keep its tokenizer. Prior and decoder must be
trained on the new embeddings and text states afterwards. With --keep-image as well, the image encoder, and with it the
space of embeddings, stays as it is (as in LiT), and the text encoder learns new words without moving what it says of
captions that have none: that is how the world got its lights. Prior and decoder then go on with few steps.
"""
import copy
import json
import math
import shutil

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
KEPT_WEIGHT = 2.0          # of how far captions without new words move, with --keep-image


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
        settings = json.loads((folder / "unclip.json").read_text())
        self.log_scale.data.fill_(math.log(settings.get("logit_scale", 10.0)))

    def similarity(self, images, texts):
        scale = self.log_scale.clamp(max=LARGEST_SCALE).exp()
        return scale * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T


def heads_loss(heads, embeddings, labels):
    """Absent things (-1) are the last class."""
    return sum(F.cross_entropy(head(embeddings), labels[:, k] % classes)
               for k, (head, classes) in enumerate(zip(heads, LABEL_CLASSES)))


class Kept:
    """What --keep-image holds on to: the image encoder, its embeddings of all pictures, the text encoder as it was."""

    def __init__(self, clip, pictures, args, device):
        clip.image.requires_grad_(False)
        self.text = copy.deepcopy(clip.text).eval().requires_grad_(False)
        if not (args.out / "embeddings.pt").exists():
            save_embeddings(clip, pictures, args.out, device)
        self.embeddings = torch.load(args.out / "embeddings.pt", map_location=device)

    def distance(self, encoder, ids, mask):
        """How far the text encoder has moved on these captions, in units of the old states' variance."""
        with torch.no_grad():
            old = self.text(ids)
        new = encoder(ids)
        seen = mask.bool()
        states, embeds = old.last_hidden_state[seen].float(), old.text_embeds.float()
        return (F.mse_loss(new.last_hidden_state[seen].float(), states) / states.var()
                + F.mse_loss(new.text_embeds.float(), embeds) / embeds.var())


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
    parser = training.arguments(__doc__, budget=15)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--keep-image", action="store_true", help="with --start-from: train the text encoder alone")
    args = parser.parse_args()
    if args.keep_image and not args.start_from:
        parser.error("--keep-image needs --start-from")
    device = training.prepare(args)
    if args.start_from:
        shutil.copytree(args.start_from / "tokenizer", args.out / "tokenizer", dirs_exist_ok=True)
    else:
        tokenizer.write(args.out / "tokenizer")
    words = tokenizer.WordTokenizer(args.out / "tokenizer")
    pictures = Pictures(args.out / "data", "train*", seed=args.seed)
    test = Pictures(args.out / "data", "test")
    clip = Clip(words.size)
    if args.start_from:
        clip.start_from(args.start_from)
    for encoder in (clip.text, clip.image):
        networks.FusedQuickGelu.use_in(encoder)
    clip.to(device)
    kept = Kept(clip, pictures, args, device) if args.keep_image else None
    optimizer = MuonWithAdam(clip, args.rate, DECAY, betas=(0.9, 0.98))
    run = training.Run("clip", args, clip, optimizer, average_decay=0.998)

    def loss(step, share):
        index = pictures.draw(BATCH)
        ids, _ = words(pictures.free_captions(index))
        labels = pictures.labels[index].to(device)
        with torch.autocast(args.device, torch.bfloat16):
            if kept:
                images = kept.embeddings[index]
            else:
                images = clip.image(pictures.pixels(index).to(device)).image_embeds.float()
            texts = clip.text(ids.to(device)).text_embeds.float()
        similarity = clip.similarity(images, texts)
        truth = torch.arange(BATCH, device=device)
        contrast = 0.5 * (F.cross_entropy(similarity, truth) + F.cross_entropy(similarity.T, truth))
        image_heads = heads_loss(clip.image_heads, images, labels)
        text_heads = heads_loss(clip.text_heads, texts, labels)
        total = CONTRAST_WEIGHT * contrast + IMAGE_HEADS_WEIGHT * image_heads + TEXT_HEADS_WEIGHT * text_heads
        numbers = {"contrast": contrast, "image_heads": image_heads, "text_heads": text_heads}
        if kept:
            ids, mask = words(pictures.free_captions(index, with_light=False))
            with torch.autocast(args.device, torch.bfloat16):
                numbers["moved"] = kept.distance(clip.text, ids.to(device), mask.to(device))
            total = total + KEPT_WEIGHT * numbers["moved"]
        return total, numbers

    run.train(loss, lambda: evaluate(clip, words, test, device), evaluate_seconds=120)
    run.log({f"average_{name}": value for name, value in evaluate(clip, words, test, device).items()})
    clip.text.save_pretrained(args.out / "text_encoder")
    clip.image.save_pretrained(args.out / "image_encoder")
    if not kept:
        save_embeddings(clip, pictures, args.out, device)


@torch.no_grad()
def image_embeddings(encoder, pictures, device, first=0):
    """[count, EMBEDDING] of the pictures from number `first` on."""
    parts = []
    for start in range(first, len(pictures), 500):
        pixels = pictures.pixels(range(start, min(start + 500, len(pictures)))).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            parts.append(encoder(pixels).image_embeds.float().cpu())
    return torch.cat(parts)


def save_embeddings(clip, pictures, out, device):
    """The image embedding of every training picture, which the prior and the decoder are trained on."""
    clip.eval()
    torch.save(image_embeddings(clip.image, pictures, device), out / "embeddings.pt")


if __name__ == "__main__":
    main()
