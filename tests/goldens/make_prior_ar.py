"""The autoregressive prior: a tiny random model, and what it computes, from an implementation of its own. And the loss
of diffusers' diffusion prior on the same inputs.

    python make_prior_ar.py models/tiny-a tiny-a

Writes models/tiny-a/prior_ar (float32) and tiny-a/prior_ar.safetensors. Nothing here is shared with the training script
or the engine: everything is float64, the whole sequence is computed anew for each token, and Philox is written out.
Tokens are recorded only where the best score leads the second by more than float32 could move it.
"""
import argparse
import math
import pathlib

import common
import numpy as np
import torch

CONFIG = {"_class_name": "AutoregressivePrior", "embedding_dim": 32, "text_hidden_size": 32, "text_projection_dim": 32,
          "num_text_tokens": 77, "num_components": 6, "num_buckets": 9, "num_dot_buckets": 5, "hidden_size": 24,
          "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "hidden_act": "gelu",
          "layer_norm_eps": 1e-5}
GUIDANCE, TEMPERATURE, SEEDS = 2.5, 0.8, (7, 2 ** 63 - 5)
LEAD = 1e-3
LOSS_STEPS, LOSS_SEED, LOSS_DRAWS = 3, 11, 1 << 16


def random_weights(numbers):
    c = CONFIG
    width, inner, text = c["hidden_size"], c["intermediate_size"], c["num_text_tokens"]
    count, buckets, dots = c["num_components"], c["num_buckets"], c["num_dot_buckets"]
    normal = lambda *shape, scale=1.0: numbers.normal(0, scale, shape)
    basis, _ = np.linalg.qr(normal(c["embedding_dim"], count))
    edges = np.sort(normal(count, 2 * buckets - 1), axis=1)     # centre, boundary, centre, ...
    weights = {"pca.mean": normal(c["embedding_dim"]), "pca.components": basis.T, "buckets.centres": edges[:, ::2],
               "buckets.boundaries": edges[:, 1::2], "dot.boundaries": np.sort(normal(dots - 1)),
               "token_embedding.weight": normal(buckets + dots + 1, width),
               "position_embedding.weight": normal(text + 1 + count, width, scale=0.5),
               "head.weight": normal(buckets, width, scale=0.5)}

    def linear(name, outputs, inputs):
        weights[f"{name}.weight"] = normal(outputs, inputs, scale=inputs ** -0.5)
        weights[f"{name}.bias"] = normal(outputs, scale=0.1)

    def norm(name):
        weights[f"{name}.weight"] = 1 + normal(width, scale=0.1)
        weights[f"{name}.bias"] = normal(width, scale=0.1)

    linear("text_proj", width, c["text_hidden_size"])
    linear("text_embed_proj", width, c["text_projection_dim"])
    for i in range(c["num_hidden_layers"]):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"layers.{i}.attn.{part}", width, width)
        linear(f"layers.{i}.mlp.fc", inner, width)
        linear(f"layers.{i}.mlp.proj", width, inner)
        norm(f"layers.{i}.ln_1")
        norm(f"layers.{i}.ln_2")
    norm("ln_f")
    return {name: torch.tensor(value).float() for name, value in weights.items()}


class Reference:
    def __init__(self, weights):
        self.weights = {name: value.double() for name, value in weights.items()}

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + CONFIG["layer_norm_eps"]).sqrt()
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, prefix, h, used):
        """One row: h [tokens, width]; query i sees the keys up to i but no padding of the text."""
        heads = CONFIG["num_attention_heads"]
        size = h.shape[1] // heads
        q, k, v = (self.linear(f"{prefix}.{part}", h) for part in ("q_proj", "k_proj", "v_proj"))
        out = torch.zeros_like(h)
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            for i in range(len(h)):
                seen = [j for j in range(i + 1) if j < used or j >= CONFIG["num_text_tokens"]]
                scores = torch.stack([q[i, own] @ k[j, own] for j in seen]) / math.sqrt(size)
                out[i, own] = scores.softmax(0) @ v[seen][:, own]
        return self.linear(f"{prefix}.out_proj", out)

    def logits(self, hidden, embed, used, dot, tokens):
        """Of the token behind `tokens`, for one row."""
        table = self.weights["token_embedding.weight"]
        x = torch.cat([self.linear("text_proj", hidden), self.linear("text_embed_proj", embed)[None],
                       table[[dot, *tokens]]])
        x = x + self.weights["position_embedding.weight"][:len(x)]
        for i in range(CONFIG["num_hidden_layers"]):
            x = x + self.attention(f"layers.{i}.attn", self.norm(f"layers.{i}.ln_1", x), used)
            h = self.linear(f"layers.{i}.mlp.fc", self.norm(f"layers.{i}.ln_2", x))
            h = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
            x = x + self.linear(f"layers.{i}.mlp.proj", h)
        return self.weights["head.weight"] @ self.norm("ln_f", x[-1])


def philox_words(counter, key):
    """Philox4x32-10 (Salmon et al. 2011)."""
    low = 0xFFFFFFFF
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (p1 >> 32) ^ b ^ k0, p1 & low, (p0 >> 32) ^ d ^ k1, p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return a, b, c, d


def words_of_draw(seed, draw, count):
    """Of one draw of stage 0, four words a block."""
    return [philox_words((block, 0, draw, 0), (seed & 0xFFFFFFFF, seed >> 32)) for block in range(-(-count // 4))]


def gumbel(seed, draw, count):
    out = [-math.log(-math.log(((word >> 9) + 0.5) / 2 ** 23)) for four in words_of_draw(seed, draw, count)
           for word in four]
    return torch.tensor(out[:count], dtype=torch.float64)


def normal(seed, draw, count):
    """Box-Muller on pairs of words."""
    out = []
    for four in words_of_draw(seed, draw, count):
        for first, second in (four[:2], four[2:]):
            radius = math.sqrt(-2 * math.log(((first >> 8) + 0.5) / 2 ** 24))
            angle = 2 * math.pi * (second >> 8) / 2 ** 24
            out += [radius * math.cos(angle), radius * math.sin(angle)]
    return torch.tensor(out[:count], dtype=torch.float64)


def draw_all(reference, text, temperature):
    """Guided tokens [batch, components], and the logits of all rows at each of them."""
    batch, count = len(SEEDS), CONFIG["num_components"]
    tokens = [[] for _ in range(batch)]
    logits = []
    for k in range(count):
        rows = [reference.logits(text["hidden"][r], text["embeds"][r], int(text["used"][r]), int(text["dot"][r]),
                                 tokens[r % batch]) for r in range(2 * batch)]
        logits.append(torch.stack(rows))
        for i, seed in enumerate(SEEDS):
            score = rows[i] + GUIDANCE * (rows[batch + i] - rows[i])
            if temperature:
                score = score / temperature + gumbel(seed, k + 1, len(score))
            best, second = score.topk(2).values
            assert best - second > LEAD, "a close race; choose other numbers"
            tokens[i].append(int(score.argmax()))
    return torch.tensor(tokens, dtype=torch.int32), torch.stack(logits)


def cross_entropy(reference, text, embeddings, tokens):
    """Nats per component of true tokens, one number for each row with text; its dot product is the true one."""
    boundaries, out = reference.weights["dot.boundaries"], []
    for i, row in enumerate(range(len(SEEDS), 2 * len(SEEDS))):
        dot = CONFIG["num_buckets"] + int((boundaries <= embeddings[i].double() @ text["embeds"][row]).sum())
        nats = 0
        for k in range(CONFIG["num_components"]):
            logits = reference.logits(text["hidden"][row], text["embeds"][row], int(text["used"][row]), dot,
                                      [int(token) for token in tokens[i][:k]])
            nats -= logits.log_softmax(0)[int(tokens[i][k])]
        out.append(nats / CONFIG["num_components"])
    return torch.stack(out)


def diffusion_loss(model, text, embeddings):
    """Squared error of PriorTransformer's denoised embeddings at the timesteps of three steps, in normalised units."""
    from diffusers import PriorTransformer, UnCLIPScheduler
    prior = PriorTransformer.from_pretrained(model / "prior").double().eval()
    scheduler = UnCLIPScheduler.from_pretrained(model / "prior_scheduler")
    assert scheduler.config.prediction_type == "sample"
    scheduler.set_timesteps(LOSS_STEPS)
    total = 0
    for i, row in enumerate(range(len(SEEDS), 2 * len(SEEDS))):
        clean = (embeddings[i].double() - prior.clip_mean[0]) / prior.clip_std[0]
        mask = (torch.arange(77) < text["used"][row])[None]
        for index, t in enumerate(scheduler.timesteps):
            share = scheduler.alphas_cumprod[t].double()
            noisy = share.sqrt() * clean + (1 - share).sqrt() * normal(LOSS_SEED + i, LOSS_DRAWS + index, 32)
            predicted = prior(noisy[None], t, proj_embedding=text["embeds"][row][None],
                              encoder_hidden_states=text["hidden"][row][None],
                              attention_mask=mask).predicted_image_embedding[0]
            total += (predicted - clean).square().mean()
    return total / len(SEEDS) / LOSS_STEPS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("goldens", type=pathlib.Path)
    args = parser.parse_args()
    numbers = np.random.RandomState(2204)
    weights = random_weights(numbers)
    folder = args.model / "prior_ar"
    folder.mkdir(exist_ok=True)
    common.save_json(folder / "config.json", CONFIG)
    common.save_tensors(folder / "model.safetensors", weights)

    rows, buckets = 2 * len(SEEDS), CONFIG["num_buckets"]
    none = buckets + CONFIG["num_dot_buckets"]
    text = {"hidden": torch.tensor(numbers.normal(size=(rows, 77, 32))).float().double(),
            "embeds": torch.tensor(numbers.normal(size=(rows, 32))).float().double(),
            "used": torch.tensor([2, 2, 9, 77], dtype=torch.int32),
            "dot": torch.tensor([none, none, buckets + 4, buckets], dtype=torch.int32)}
    reference = Reference(weights)
    best, best_logits = draw_all(reference, text, 0)
    drawn, drawn_logits = draw_all(reference, text, TEMPERATURE)
    assert not torch.equal(best, drawn)

    z = torch.tensor(numbers.normal(size=(5, 32)) * 2).float()
    values = ((z.double() - weights["pca.mean"].double()) @ weights["pca.components"].double().T).numpy()
    edges, centres = weights["buckets.boundaries"].double().numpy(), weights["buckets.centres"].double().numpy()
    tokens = np.stack([np.searchsorted(edges[k], values[:, k], side="right") for k in range(len(edges))], 1)
    taken = np.take_along_axis(centres, tokens.T, 1).T
    back = weights["pca.mean"].double().numpy() + taken @ weights["pca.components"].double().numpy()
    common.save_tensors(args.goldens / "prior_ar.safetensors", {
        "text_hidden": text["hidden"].float(), "text_embeds": text["embeds"].float(), "used": text["used"],
        "dot": text["dot"], "seeds": torch.tensor(SEEDS), "best_tokens": best, "best_logits": best_logits.float(),
        "drawn_tokens": drawn, "drawn_logits": drawn_logits.float(),
        "settings": torch.tensor([GUIDANCE, TEMPERATURE]).float(), "embeddings": z,
        "cross_entropy": cross_entropy(reference, text, z, tokens).mean().float()[None],
        "diffusion_loss": diffusion_loss(args.model, text, z).float()[None],
        "bucket_tokens": torch.tensor(tokens, dtype=torch.int32), "bucket_embeddings": torch.tensor(back).float()})


if __name__ == "__main__":
    main()
