"""Trains the autoregressive prior: a CLIP image embedding from a caption, as a sequence of quantised components.

    python -m weights.train.prior_ar --out DIR

Follows the paper (section 2.2): principal components of the image embedding in the order of their variance, as many as
leave less than 1 % of it; each cut into buckets; a causal transformer that predicts one bucket after another from the
caption, the text embedding and a token for the quantised dot product of both embeddings; caption dropped 10 % of the
time. What the paper leaves open is written down, with reasons, in weights/README.md. Leaves: the size (319 components
of 1,024 buckets, a separate text encoder of 24 layers).

Writes DIR/prior_ar: config.json and model.safetensors.
"""
import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModelWithProjection

from weights.train import networks, tokenizer, training
from weights.train.dataset import Pictures
from weights.train.optimizer import MuonWithAdam

BATCH = 256
RATE = 1.5e-3
DROP_TEXT = 0.10
HELD = 2000               # training pictures that only measure
DOT_PAIRS = 20000         # pictures and captions from which the dot product's distribution is taken
UNEXPLAINED = 0.01        # of the variance, at most: the paper's "less than 1 % average mean-squared error"
NO_KEY = -10000.0         # added to the score of a key that must not be seen


class Tables(nn.Module):
    """Numbers that are fitted, not trained; a module so that they have names like the weights'."""

    def __init__(self, **shapes):
        super().__init__()
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.ln_1 = nn.LayerNorm(width, config["layer_norm_eps"])
        names = ("q_proj", "k_proj", "v_proj", "out_proj")
        self.attn = nn.ModuleDict({name: nn.Linear(width, width) for name in names})
        self.ln_2 = nn.LayerNorm(width, config["layer_norm_eps"])
        self.mlp = nn.ModuleDict({"fc": nn.Linear(width, config["intermediate_size"]),
                                  "proj": nn.Linear(config["intermediate_size"], width)})

    def forward(self, x, bias):
        h = self.ln_1(x)
        q, k, v = (self.attn[name](h).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for name in ("q_proj", "k_proj", "v_proj"))
        # Written out: on a CPU the fused attention is slower to differentiate.
        seen = (q @ k.transpose(2, 3) * q.shape[3] ** -0.5 + bias).softmax(3).to(v.dtype) @ v
        x = x + self.attn["out_proj"](seen.transpose(1, 2).flatten(2))
        return x + self.mlp["proj"](F.gelu(self.mlp["fc"](self.ln_2(x))))


class AutoregressivePrior(nn.Module):
    """The network and its tables; state_dict has the tensors of the model directory under their names there."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, buckets, components = config["hidden_size"], config["num_buckets"], config["num_components"]
        dots, self.text_tokens = config["num_dot_buckets"], config["num_text_tokens"]
        self.pca = Tables(mean=(config["embedding_dim"],), components=(components, config["embedding_dim"]))
        self.buckets = Tables(boundaries=(components, buckets - 1), centres=(components, buckets))
        self.dot = Tables(boundaries=(dots - 1,))
        self.text_proj = nn.Linear(config["text_hidden_size"], width)
        self.text_embed_proj = nn.Linear(config["text_projection_dim"], width)
        self.position_embedding = nn.Embedding(self.text_tokens + 1 + components, width)
        self.token_embedding = nn.Embedding(buckets + dots + 1, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.ln_f = nn.LayerNorm(width, config["layer_norm_eps"])
        self.head = nn.Linear(width, buckets, bias=False)
        self._start()

    @torch.no_grad()
    def _start(self):
        """Small weights; buckets are ordered, so that neighbours begin alike: points of one smooth random curve."""
        buckets, width = self.config["num_buckets"], self.config["hidden_size"]
        at = (torch.arange(buckets) + 0.5)[:, None] / buckets
        waves = torch.cos(torch.pi * at * torch.arange(1, 17)) / torch.arange(1, 17)
        for embedding in (self.position_embedding, self.token_embedding):
            embedding.weight.normal_(std=0.05)
        self.token_embedding.weight[:buckets] = waves @ torch.randn(16, width) * 0.3
        self.head.weight.copy_(waves @ torch.randn(16, width) * 0.02)
        for layer in self.layers:
            for last in (layer.attn["out_proj"], layer.mlp["proj"]):
                last.weight.mul_((2 * len(self.layers)) ** -0.5)

    # ---- embeddings and tokens

    def tokens(self, embeddings):
        """[n, embedding_dim] -> the bucket of each component, [n, components]."""
        values = (embeddings - self.pca.mean) @ self.pca.components.T
        columns = [torch.bucketize(values[:, k].contiguous(), self.buckets.boundaries[k], right=True)
                   for k in range(values.shape[1])]
        return torch.stack(columns, 1)

    def embeddings(self, tokens):
        values = self.buckets.centres.gather(1, tokens.T).T
        return self.pca.mean + values @ self.pca.components

    def dot_tokens(self, dots):
        """The token of a dot product; token_embedding holds the buckets' tokens, then these, then "no text"."""
        return self.config["num_buckets"] + torch.bucketize(dots.contiguous(), self.dot.boundaries, right=True)

    @property
    def no_text_token(self):
        return self.config["num_buckets"] + self.config["num_dot_buckets"]

    # ---- network

    def forward(self, hidden, embeds, mask, dot, tokens):
        """hidden [b,t,text width], embeds [b,projection], mask [b,t], dot [b], tokens [b,n] -> logits of the tokens
        1 ... n + 1, [b, n + 1, buckets]. t may be less than the text's context: what is left out is padding."""
        text = hidden.shape[1]
        embedded = self.token_embedding(torch.cat([dot[:, None], tokens], 1))
        x = torch.cat([self.text_proj(hidden), self.text_embed_proj(embeds)[:, None], embedded], 1)
        places = torch.cat([torch.arange(text), torch.arange(self.text_tokens, self.text_tokens + x.shape[1] - text)])
        x = x + self.position_embedding(places.to(x.device))
        length = x.shape[1]
        bias = torch.full((length, length), NO_KEY, device=x.device).triu(1).repeat(len(x), 1, 1, 1)
        bias[:, 0, :, :text] += NO_KEY * (1 - mask.float())[:, None]
        for layer in self.layers:
            x = layer(x, bias)
        return self.head(self.ln_f(x[:, text + 1:]))

    @torch.no_grad()
    def sample(self, hidden, embeds, mask, dot):
        tokens = torch.zeros(len(dot), 0, dtype=torch.long, device=dot.device)
        for _ in range(self.config["num_components"]):
            logits = self(hidden, embeds, mask, dot, tokens)[:, -1].float()
            tokens = torch.cat([tokens, torch.multinomial(logits.softmax(1), 1)], 1)
        return tokens

    def save_config(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=1) + "\n")

    def save(self, folder):
        self.save_config(folder)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()},
                  folder / "model.safetensors", metadata={"format": "pt"})


# ---- the tables


def principal_components(embeddings, count=None):
    """Mean and components (rows) in the order of their variance; without a count as many as the paper's rule takes,
    rounded up to a multiple of 8."""
    mean = embeddings.mean(0)
    centred = (embeddings - mean).double()
    variance, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    variance, vectors = variance.flip(0), vectors.flip(1)
    if count is None:
        left = 1 - variance.cumsum(0) / variance.sum()
        count = min(-(-(int((left > UNEXPLAINED).sum()) + 1) // 8) * 8, embeddings.shape[1])
    return mean, vectors[:, :count].T.float().contiguous()


@torch.no_grad()
def fit_buckets(model, embeddings):
    """Boundaries at equal shares of the training values, centres at the mean of each share: no bucket stays unused,
    and given the boundaries no other centres have a smaller squared error."""
    values = (embeddings - model.pca.mean) @ model.pca.components.T
    ordered = values.sort(0).values
    buckets = model.config["num_buckets"]
    edges = torch.arange(buckets + 1) * len(ordered) // buckets
    model.buckets.boundaries.copy_(((ordered[edges[1:-1] - 1] + ordered[edges[1:-1]]) / 2).T)
    sums = torch.cat([torch.zeros(1, ordered.shape[1]).double(), ordered.double().cumsum(0)])[edges]
    model.buckets.centres.copy_(((sums[1:] - sums[:-1]) / (edges[1:] - edges[:-1])[:, None]).T)


@torch.no_grad()
def fit_dots(model, pictures, words, text_encoder, embeddings, device, pairs):
    index = torch.randperm(len(pictures))[:pairs]
    parts = []
    for some in index.split(500):
        ids, _ = words(pictures.free_captions(some.tolist()))
        texts = text_encoder(ids.to(device)).text_embeds.float().cpu()
        parts.append((texts * embeddings[some]).sum(1))
    dots = model.config["num_dot_buckets"]
    shares = torch.arange(1, dots) / dots
    model.dot.boundaries.copy_(torch.quantile(torch.cat(parts), shares))


def configuration(components, buckets, layers):
    width = networks.EMBEDDING
    return {"_class_name": "AutoregressivePrior", "embedding_dim": width, "text_hidden_size": width,
            "text_projection_dim": width, "num_text_tokens": tokenizer.CONTEXT, "num_components": components,
            "num_buckets": buckets, "num_dot_buckets": 20, "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": width // networks.HEAD, "intermediate_size": 4 * width, "hidden_act": "gelu",
            "layer_norm_eps": 1e-5}


# ---- training


def main():
    parser = training.arguments(__doc__, budget=12)
    parser.add_argument("--components", type=int, help="instead of as many as leave 1 %% of the variance")
    parser.add_argument("--buckets", type=int, default=128)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--dot-pairs", type=int, default=DOT_PAIRS)
    args = parser.parse_args()
    device = training.prepare(args)
    pictures = Pictures(args.out / "data", "train*", seed=args.seed)
    words = tokenizer.WordTokenizer(args.out / "tokenizer")
    text_encoder = CLIPTextModelWithProjection.from_pretrained(args.out / "text_encoder").eval().to(device)
    embeddings = torch.load(args.out / "embeddings.pt")
    mean, components = principal_components(embeddings, args.components)
    model = AutoregressivePrior(configuration(len(components), args.buckets, args.layers))
    model.pca.mean.copy_(mean)
    model.pca.components.copy_(components)
    fit_buckets(model, embeddings)
    fit_dots(model, pictures, words, text_encoder, embeddings, device, args.dot_pairs)
    model.save_config(args.out / "prior_ar")
    model.to(device)
    optimizer = MuonWithAdam(model, RATE, decay=0.01, first_and_last=("head",))
    run = training.Run("prior_ar", args, model, optimizer, average_decay=0.998)
    embeddings = embeddings.to(device)
    tokens = model.tokens(embeddings)

    def condition(index, drop):
        texts = ["" if dropped else text for text, dropped in zip(pictures.free_captions(index), drop)]
        ids, mask = words(texts)
        with torch.no_grad(), torch.autocast(args.device, torch.bfloat16):
            encoded = text_encoder(ids.to(device))
        dots = (encoded.text_embeds.float() * embeddings[index]).sum(1)
        dot = torch.where(drop.to(device), model.no_text_token, model.dot_tokens(dots))
        return encoded.last_hidden_state.float(), encoded.text_embeds.float(), mask.to(device), dot

    def cross_entropy(index, drop):
        with torch.autocast(args.device, torch.bfloat16):
            logits = model(*condition(index, drop), tokens[index][:, :-1])
        return F.cross_entropy(logits.float().flatten(0, 1), tokens[index].flatten())

    def loss(step, share):
        index = pictures.indices.randint(0, len(pictures) - HELD, args.batch)
        error = cross_entropy(index, torch.rand(args.batch) < DROP_TEXT)
        return error, {"nats_per_token": error}

    @torch.no_grad()
    def evaluate():
        index = range(len(pictures) - HELD, len(pictures) - HELD + 256)
        index = torch.tensor(list(index)).numpy()
        keep = torch.zeros(256, dtype=torch.bool)
        some = index[:64]
        hidden, embeds, mask, dot = condition(some, keep[:64])
        drawn = model.embeddings(model.sample(hidden, embeds, mask, dot))
        return {"held_nats_per_token": cross_entropy(index, keep),
                "held_cosine": F.cosine_similarity(drawn, embeddings[some]).mean(),
                "held_cosine_of_buckets": F.cosine_similarity(model.embeddings(tokens[some]), embeddings[some]).mean()}

    run.train(loss, lambda: {name: float(value) for name, value in evaluate().items()}, evaluate_seconds=180)
    run.log({f"average_{name}": float(value) for name, value in evaluate().items()})
    model.save(args.out / "prior_ar")


if __name__ == "__main__":
    main()
