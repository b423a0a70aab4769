"""Trains the diffusion prior: a CLIP image embedding from a caption.

    python -m weights.train.prior --out DIR

Follows the paper: decoder-only transformer over caption, text embedding, timestep, noised image embedding and a final
query; predicts the un-noised embedding with a squared error; cosine schedule, 1000 steps; caption dropped 10 % of the
time.
Leaves: the size; Analytic-DPM's variances. Embeddings are normalised by their mean and spread, as in Karlo, instead
of scaled by 17.2.
"""
import torch
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModelWithProjection

from weights.train import diffusion, networks, tokenizer, training
from weights.train.dataset import Pictures
from weights.train.optimizer import MuonWithAdam

BATCH = 256
RATE = 1.5e-3
DROP_TEXT = 0.10


def main():
    args = training.arguments(__doc__, budget=7).parse_args()
    device = training.prepare(args)
    pictures = Pictures(args.out / "data", "train*", seed=args.seed)
    words = tokenizer.WordTokenizer(args.out / "tokenizer")
    text_encoder = CLIPTextModelWithProjection.from_pretrained(args.out / "text_encoder").eval().to(device)
    embeddings = torch.load(args.out / "embeddings.pt")
    model = networks.prior()
    model.set_attn_processor(AttnProcessor())
    model.clip_mean.data = embeddings.mean(0, keepdim=True)
    model.clip_std.data = embeddings.std(0, keepdim=True)
    model.clip_mean.requires_grad_(False)
    model.clip_std.requires_grad_(False)
    model.to(device)
    optimizer = MuonWithAdam(model, RATE, decay=0.01)
    run = training.Run("prior", args, model, optimizer, average_decay=0.998)
    # After a resumed run has restored its mean and spread: the embeddings may have others by now.
    normalised = (embeddings.to(device) - model.clip_mean) / model.clip_std
    abar = diffusion.cosine_abar()

    def loss(step, share):
        index = pictures.draw(BATCH)
        dropped = torch.rand(BATCH) < DROP_TEXT
        texts = ["" if drop else text for text, drop in zip(pictures.free_captions(index), dropped)]
        # The prior's learned query sits at a fixed position, so the context is always full length.
        ids, mask = words(texts, tokenizer.CONTEXT)
        clean = normalised[index]
        t = torch.randint(0, diffusion.STEPS, (BATCH,))
        noisy = diffusion.add_noise(clean, torch.randn_like(clean), abar[t])
        with torch.autocast(args.device, torch.bfloat16):
            with torch.no_grad():
                encoded = text_encoder(ids.to(device))
            predicted = model(noisy, t.to(device), proj_embedding=encoded.text_embeds,
                              encoder_hidden_states=encoded.last_hidden_state,
                              attention_mask=mask.bool().to(device)).predicted_image_embedding.float()
        error = (predicted - clean).square().mean()
        return error, {"error": error}

    run.train(loss)
    model.save_pretrained(args.out / "prior")


if __name__ == "__main__":
    main()
