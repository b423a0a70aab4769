"""CLIP's byte-level BPE with a vocabulary of the world's own.

Ids: 256 bytes, 256 bytes that end a word, the merges, <|startoftext|>, <|endoftext|> (the largest id, as CLIP's text
encoder wants it). Merges are learned jointly over all words until each word of the world is one token; any other word
still has a spelling in smaller pieces.
"""
import collections
import json
import pathlib

import torch

from weights.train import captions

CONTEXT = 32


def byte_letters():
    """GPT-2's printable stand-ins for the 256 byte values, in the order CLIP's vocabulary lists them."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(len(others))]


def learn_merges(words):
    spelled = [list(word[:-1]) + [word[-1] + "</w>"] for word in words]
    merges = []
    while any(len(pieces) > 1 for pieces in spelled):
        counts = collections.Counter(pair for pieces in spelled for pair in zip(pieces, pieces[1:]))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        spelled = [_merge(pieces, best) for pieces in spelled]
    return merges


def _spell(word, merges):
    """A word's pieces. A word that the merges were learned from is one, a word that came later is several."""
    pieces = list(word[:-1]) + [word[-1] + "</w>"]
    for pair in merges:
        pieces = _merge(pieces, pair)
    return pieces


def _merge(pieces, pair):
    out = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def write(folder):
    """Writes the folder that CLIPTokenizer (and the engine) reads."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(captions.vocabulary())
    letters = byte_letters()
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    if len(set(tokens)) != len(tokens):
        raise ValueError("two merges make the same token")
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
               "pad_token": "<|endoftext|>"}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT, **special, "do_lower_case": True,
              "errors": "replace", "add_prefix_space": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n")


class WordTokenizer:
    """Equal to CLIPTokenizer on the world's captions, and fast: the tokens of every word are looked up."""

    def __init__(self, folder):
        vocabulary = json.loads((pathlib.Path(folder) / "vocab.json").read_text())
        self.size = len(vocabulary)
        self.start, self.end = self.size - 2, self.size - 1
        lines = (pathlib.Path(folder) / "merges.txt").read_text().splitlines()[1:]
        merges = [tuple(line.split()) for line in lines]
        self.ids = {word: [vocabulary[piece] for piece in _spell(word, merges)] for word in captions.vocabulary()}
        self.ids[","] = [vocabulary[",</w>"]]

    def __call__(self, texts, length=None):
        """Token ids and mask, padded with <|endoftext|> to `length` or to the longest text."""
        rows = [[self.start, *self._tokens(text)[:CONTEXT - 2], self.end] for text in texts]
        length = length or max(map(len, rows))
        ids = torch.tensor([row + [self.end] * (length - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
        return ids, mask

    def _tokens(self, text):
        return [token for word in text.replace(",", " ,").split() for token in self.ids[word]]
