"""Trains the decoder: 64-pixel pictures from CLIP image embeddings and captions.

    python -m weights.train.decoder --out DIR [--small-share 0.5] [--start-from MODEL]

Follows the paper: GLIDE's UNet with scale-shift norm and attention at low resolutions; cosine schedule, 1000 steps;
the image embedding added to the time embedding and given as four extra context tokens; embedding and caption dropped
at random for guidance; learned variance, trained by the variational bound with a frozen mean (hybrid loss).
Leaves: GLIDE's own text transformer (CLIP's text states are projected instead, as in Karlo); dropout; the size.
Differs: the network predicts the clean picture, not the noise: a small network then draws right layouts and colours
sooner, and the first sampling step starts from a picture instead of from amplified rounding. The squared error is
weighted by the signal-to-noise ratio, clipped on both sides (min-SNR 5). The first part of the budget runs at 32
pixels; at 64 the same noise hides less, so that layouts are learned again from more of the high noise; in the last part
most timesteps are in the middle, where outlines are decided (a cube that is round there stays round). There the
picture should also look the same to the frozen image encoder: the squared error hardly sees the corner of a cube. And
there the objects with their surroundings count as much as all the ground, which is most of the picture and mostly grain
that nobody can foresee. In the same part the network learns what guidance draws. At little and middle noise caption and
image tell hardly anything that the noisy picture does not, so what is predicted with them and without should be the
same; guidance triples the difference, which is error, and so bends edges and draws rims. Half of the batch is therefore
pairs of the two, whose guided picture should be the true one. Guidance is left to do its work at high noise.

With --redrawn-share some pictures that are noised to the lower timesteps are not true ones but such as the decoder
itself drew (weights.train.redraw), and the true ones that are nearest to them are to be predicted. A sampler sees its
own bent cubes there, and by training on true pictures alone a network learns to keep whatever it sees.

At little noise, near objects and everywhere in pictures that it drew, the length of a pixel's error counts, not its
square: of an edge that may be here or there the square's best prediction is the mean, a blur, and the length's is the
median, an edge. Where the decoder's own pictures are straightened with hardly any noise left the strength of edges
counts too, as in the upsamplers.

With --start-from the network has that model's size, weights and kind of prediction; a noise prediction (the paper's) is
trained with the same weights, which count (1 - abar) / abar times as much there and are clipped again. A network that
is trained already is refined with --small-share 0 --outlines-from 0, which is the last part of the budget from the
start.
"""
import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from torch import nn
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from weights.train import channels_last, diffusion, networks, sampling, tokenizer, training
from weights.train.clip import image_embeddings
from weights.train.dataset import Pictures, grown
from weights.train.optimizer import MuonWithAdam
from weights.train.score import to_planes

LARGEST_WEIGHT = 5.0
SMALLEST_WEIGHT = 0.3
HIGH_NOISE_POWER = 2.0     # timesteps for layouts, which more noise decides at full size: 1000 * (1 - u ** power)
OUTLINES_FROM = 0.6        # share of the budget from which on most timesteps are 1000 * sigmoid(normal + 0.2)
LAYOUTS_KEPT = 0.2         # share of timesteps that stay as before then
BOUND_WEIGHT = 0.1         # the paper's 1 with a loss some ten times larger
OUTSIDE_WEIGHT = 0.02      # keeps v in -1..1: of the thousand steps only the last few feel it, a respaced run all
LIKENESS_BELOW = 700       # timesteps at which the image encoder compares, in the same last part
LIKENESS_WEIGHT = 0.8
GUIDED_BELOW = 600         # timesteps at which --guided-pairs ask the guided picture to be right
REDRAWN_BELOW = 550        # timesteps at which pictures that the decoder drew are to become the nearest true ones
OBJECTS_BELOW = 600        # timesteps at which objects count as much as the ground: above, an outline may be further
OBJECT_RIM = 3             # off than these pixels around it, and objects would be drawn too large
LENGTH_BELOW = 450         # timesteps at which the length of the error counts near objects, and in all that was drawn
LENGTH_WEIGHT, SMALL_ERROR = 0.3, 0.05  # smaller errors count nearly by their square
EDGES_BELOW = 300          # timesteps at which pictures that the decoder drew should also get edges of the right strength
EDGE_WEIGHT, EDGE_CELL = 2.0, 4
LEAST_OBJECT_SHARE = 0.05  # of the picture: smaller objects count no more
DROP_BOTH, DROP_IMAGE, DROP_TEXT = 0.15, 0.05, 0.15
EMBEDDING_NOISE = 0.15     # in standard deviations, on half of the embeddings: the prior's are not exact either
SMALL_PICTURE = 32


class Decoder(nn.Module):
    """The two networks that are trained together, under their folder names."""

    def __init__(self, start=None):
        super().__init__()
        if start:
            self.decoder = UNet2DConditionModel.from_pretrained(start / "decoder", torch_dtype=torch.float32)
            self.text_proj = UnCLIPTextProjModel.from_pretrained(start / "text_proj", torch_dtype=torch.float32)
        else:
            self.decoder = networks.decoder()
            self.text_proj = networks.text_projection()
            networks.keep_absolute_scale(self.decoder)
        self.decoder.set_attn_processor(channels_last.Attention())

    def forward(self, noisy, t, embeddings, text, hidden, mask):
        states, added = self.text_proj(image_embeddings=embeddings, prompt_embeds=text,
                                       text_encoder_hidden_states=hidden, do_classifier_free_guidance=False)
        return self.decoder(noisy, t, states, class_labels=added,
                            attention_mask=F.pad(mask, (4, 0), value=1)).sample


class Conditions:
    """Captions, frozen text states and image embeddings of a batch, with parts dropped."""

    def __init__(self, out, pictures, device):
        self.pictures, self.device = pictures, device
        self.words = tokenizer.WordTokenizer(out / "tokenizer")
        self.text_encoder = CLIPTextModelWithProjection.from_pretrained(out / "text_encoder").eval().to(device)
        self.embeddings = torch.load(out / "embeddings.pt")
        self.spread = self.embeddings.std(0)
        if len(pictures) > len(self.embeddings):
            encoder = CLIPVisionModelWithProjection.from_pretrained(out / "image_encoder").eval().to(device)
            added = image_embeddings(encoder, pictures, device, first=len(self.embeddings))
            self.embeddings = torch.cat([self.embeddings, added])

    def draw(self, index, learned_empty, pairs=0):
        """The first `pairs` of the batch with everything, the next `pairs` with nothing, the rest by chance."""
        choice = torch.rand(len(index))
        choice[:pairs], choice[pairs:2 * pairs] = 0.5, 0.0
        drop_image = choice < DROP_BOTH + DROP_IMAGE
        drop_text = (choice < DROP_BOTH) | (choice > 1 - DROP_TEXT)
        texts = ["" if dropped else text for text, dropped in zip(self.pictures.free_captions(index), drop_text)]
        ids, mask = self.words(texts)
        with torch.no_grad():
            encoded = self.text_encoder(ids.to(self.device))
        embeddings = self.embeddings[index]
        noisy = (torch.rand(len(index), 1) < 0.5) * EMBEDDING_NOISE * self.spread
        embeddings = (embeddings + noisy * torch.randn_like(embeddings)).to(self.device)
        embeddings = torch.where(drop_image[:, None].to(self.device), learned_empty[None], embeddings)
        return embeddings, encoded.text_embeds, encoded.last_hidden_state, mask.to(self.device)


def error_of(output, aim, pixels):
    """[batch]: of each picture, its pixels weighted; near objects the length of the error, elsewhere its square."""
    squared = (output - aim).square().mean(1, keepdim=True)
    if pixels is None:
        return squared.mean((1, 2, 3))
    length = LENGTH_WEIGHT * diffusion.error_length(squared, SMALL_ERROR)
    return (torch.where(pixels.outlines, length, squared) * pixels.weights).mean((1, 2, 3))


@dataclasses.dataclass
class Pixels:
    """How the pixels of a batch count, both [batch, 1, height, width]."""

    weights: torch.Tensor      # of mean 1
    outlines: torch.Tensor     # bool: where the length of the error counts

    def __getitem__(self, rows):
        return Pixels(self.weights[rows], self.outlines[rows])


class Target:
    """What the network predicts, which timesteps it trains on and how much each counts."""

    def __init__(self, args, abar):
        self.layouts_kept, self.outlines_from = args.layouts_kept, args.outlines_from
        self.kind = sampling.prediction(args.start_from) if args.start_from else "sample"
        self.abar = abar
        ratio = abar / (1 - abar)
        self.picture_weight = self.weight = ratio.clamp(SMALLEST_WEIGHT, args.largest_weight)
        if self.kind == "epsilon":
            self.weight = (self.weight / ratio).clamp(max=args.largest_weight)

    def picture_error(self, predicted, clean, t, pixels):
        """Mean weighted error of pictures, whatever the network predicts."""
        error = error_of(predicted, clean, pixels)
        return (error * self.picture_weight[t].to(error.device)).mean()

    def timesteps(self, batch, share, small):
        u = torch.rand(batch)
        if not small:
            u = 1 - u ** HIGH_NOISE_POWER
            if share >= self.outlines_from:
                kept = torch.rand(batch) < self.layouts_kept
                u = torch.where(kept, u, torch.sigmoid(torch.randn(batch) + 0.2))
        return (u * diffusion.STEPS).long().clamp(max=diffusion.STEPS - 1)

    def pixels(self, objects, t, again):
        """At little noise half of the weight for the objects with their rim, half for the rest. `again`: the decoder's
        own pictures, whose ground may be bent as well; that of true ones is grain, of which a median keeps nothing."""
        near = grown(objects, OBJECT_RIM)
        share = near.mean((1, 2, 3), keepdim=True).clamp(LEAST_OBJECT_SHARE, 0.5)
        weights = near / share + (1 - near) / (1 - share)
        weights = weights / weights.mean((1, 2, 3), keepdim=True)
        t = t.to(weights.device).view(-1, 1, 1, 1)
        anywhere = again.to(weights.device).view(-1, 1, 1, 1)
        return Pixels(torch.where(t < OBJECTS_BELOW, weights, 1.0), (t < LENGTH_BELOW) & (near.bool() | anywhere))

    def errors(self, output, clean, noise, noisy, t, pixels):
        """Weighted error of each picture, and the clean picture that the output means."""
        aim = noise if self.kind == "epsilon" else clean
        error = error_of(output, aim, pixels)
        predicted = output
        if self.kind == "epsilon":
            predicted = diffusion.clean_from_noise(noisy, output, self.abar[t]).clamp(-1, 1)
        return error * self.weight[t].to(error.device), predicted


class Redrawn:
    """Pictures that the decoder drew, noised in the place of the true ones that are nearest to them."""

    def __init__(self, out, pictures, device):
        self.device = device
        self.drawn = np.load(out / "data" / "redrawn.low.npy")
        self.first = len(pictures) - len(self.drawn)

    def put_in(self, chosen, index, t):
        """The rows that are `chosen` become redrawn pictures at timesteps where they are straightened."""
        count = int(chosen.sum())
        index[chosen.numpy()] = self.first + torch.randint(len(self.drawn), (count,)).numpy()
        t[chosen] = torch.randint(0, REDRAWN_BELOW, (count,))

    def pixels(self, index):
        return to_planes(self.drawn[index - self.first]).to(self.device)


class Likeness:
    """What the frozen image encoder sees differently: the squared difference of all tokens' normalised states."""

    def __init__(self, out, device):
        encoder = CLIPVisionModelWithProjection.from_pretrained(out / "image_encoder", attn_implementation="eager")
        networks.FusedQuickGelu.use_in(encoder)
        self.encoder = encoder.eval().requires_grad_(False).to(device)

    def states(self, pictures):
        hidden = self.encoder(pictures, output_hidden_states=True).hidden_states[1:]
        return torch.stack([F.layer_norm(states.float(), states.shape[-1:]) for states in hidden])

    def difference(self, predicted, clean):
        with torch.no_grad():
            truth = self.states(clean)
        return F.mse_loss(self.states(predicted), truth)


def main():
    parser = training.arguments(__doc__, budget=75)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--small-share", type=float, default=0.5, help="share of the budget at 32 pixels")
    parser.add_argument("--layouts-kept", type=float, default=LAYOUTS_KEPT,
                        help="share of timesteps for layouts and lights in the last part of the budget")
    parser.add_argument("--guided-pairs", type=float, default=0.25,
                        help="share of the batch, at most 0.5, that is there a second time without caption and image "
                             "in the last part of the budget")
    parser.add_argument("--outlines-from", type=float, default=OUTLINES_FROM,
                        help="share of the budget from which on its last part begins")
    parser.add_argument("--redrawn-share", type=float, default=0.0,
                        help="share of the batch, in the last part of the budget, that is weights.train.redraw's")
    parser.add_argument("--largest-weight", type=float, default=LARGEST_WEIGHT)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--average-decay", type=float, default=0.999)
    parser.add_argument("--name", default="decoder")
    args = parser.parse_args()
    device = training.prepare(args)
    parts = ["train*"] + ["redrawn"] * (args.redrawn_share > 0)
    pictures = Pictures(args.out / "data", *parts, seed=args.seed, with_coverage=True).to(device)
    redrawn = Redrawn(args.out, pictures, device) if args.redrawn_share else None
    model = Decoder(args.start_from).to(device)
    if args.device == "cpu":
        channels_last.use_in(model.decoder)
    optimizer = MuonWithAdam(model, args.rate, first_and_last=("conv_in", "conv_out"))
    run = training.Run(args.name, args, model, optimizer, args.average_decay)
    pictures.indices = np.random.RandomState(args.seed + run.step)
    conditions = Conditions(args.out, pictures, device)
    abar = diffusion.cosine_abar()
    variance = diffusion.LearnedRange(abar)
    target = Target(args, abar)
    likeness = Likeness(args.out, device)

    def loss(step, share):
        small = share < args.small_share
        index = pictures.draw(args.batch * 2 if small else args.batch)
        t = target.timesteps(len(index), share, small)
        outlines = not small and share >= args.outlines_from
        pairs = round(args.guided_pairs * len(index)) if outlines else 0
        if pairs:
            t[:pairs] = torch.randint(0, GUIDED_BELOW, (pairs,))
        again = torch.zeros(len(index), dtype=torch.bool)
        if redrawn and outlines:
            again = torch.rand(len(index)) < args.redrawn_share
            redrawn.put_in(again, index, t)
        clean = pictures.pixels(index, SMALL_PICTURE if small else networks.PICTURE)
        seen, noise = clean.clone(), torch.randn_like(clean)
        if again.any():
            seen[again] = redrawn.pixels(index[again.numpy()])
        for values in (t, index, clean, seen, noise, again):
            values[pairs:2 * pairs] = values[:pairs]
        noisy = diffusion.add_noise(seen, noise, abar[t])
        if args.device == "cpu":
            noisy = noisy.contiguous(memory_format=torch.channels_last)
        with torch.autocast(args.device, torch.bfloat16):
            empty = model.text_proj.learned_classifier_free_guidance_embeddings
            output = model(noisy, t.to(device), *conditions.draw(index, empty, pairs)).float()
        output, v = output.chunk(2, dim=1)
        pixels = target.pixels(pictures.objects(index), t, again) if outlines else None
        noise = diffusion.noise_between(clean, noisy, abar[t])      # another one where a redrawn picture was noised
        weighted, predicted = target.errors(output, clean, noise, noisy, t, pixels)
        bound = variance.bound(clean, predicted, v.clamp(-1, 1), t).mean()
        outside = F.relu(v.abs() - 1).square().mean()
        distance = (predicted.detach() - clean).square().mean((1, 2, 3))
        numbers = {"loss": weighted.mean(), "bound": bound, "outside": outside}
        if redrawn:
            given = (seen - clean).square().mean((1, 2, 3))
            for low in range(0, REDRAWN_BELOW, 150):
                band = (t >= low) & (t < low + 150) & again
                numbers[f"redrawn_{low}"] = distance[band].sum() / given[band].sum()
        for low in range(0, diffusion.STEPS, 200):
            band = (t >= low) & (t < low + 200) & ~again
            numbers[f"error_{low}"] = distance[band].mean() if band.any() else float("nan")
            numbers[f"weighted_{low}"] = weighted[band].mean() if band.any() else float("nan")
        total = weighted.mean() + BOUND_WEIGHT * bound + OUTSIDE_WEIGHT * outside
        if pairs:
            first, second = slice(pairs), slice(pairs, 2 * pairs)
            guided = predicted[second].lerp(predicted[first], sampling.DEFAULTS["cfg_scale"])
            numbers["guided"] = target.picture_error(guided, clean[first], t[first], pixels[first])
            total = total + pairs / len(index) * numbers["guided"]
        sharpened = again & (t < EDGES_BELOW)
        if sharpened.any():
            numbers["edges"] = diffusion.edge_error(predicted[sharpened], clean[sharpened], EDGE_CELL).mean()
            total = total + EDGE_WEIGHT * sharpened.float().mean() * numbers["edges"]
        compared = t < LIKENESS_BELOW
        if outlines and compared.any():
            with torch.autocast(args.device, torch.bfloat16):
                numbers["likeness"] = likeness.difference(predicted[compared], clean[compared])
            total = total + LIKENESS_WEIGHT * compared.float().mean() * numbers["likeness"]
        return total, numbers

    run.train(loss)
    model.decoder.save_pretrained(args.out / "decoder")
    model.text_proj.save_pretrained(args.out / "text_proj")
    sampling.schedulers(target.kind)["decoder_scheduler"].save_pretrained(args.out / "decoder_scheduler")


if __name__ == "__main__":
    main()
