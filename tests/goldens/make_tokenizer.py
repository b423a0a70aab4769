#!/usr/bin/env python3
"""Goldens of the arrow prompt -> tokens: what transformers' CLIPTokenizer, without ftfy, makes of odd prompts.

    python3 tests/goldens/make_tokenizer.py      (transformers 4.51.3)

Writes unit/tokenizer.jsonl, one object a line: {"model", "text", "ids" (padded to the model's own length), "used",
"truncated"}, and unit/tokenizer-odd/, a tokenizer whose merges no training would give: their order is random, so
that a merge may become possible only after a less urgent one, and some pairs appear twice.
"""
import json
import pathlib
import random
import sys

sys.modules["ftfy"] = None  # transformers uses it when it is there, and then cleans text in another way

from transformers import CLIPTokenizer  # noqa: E402
from transformers.models.clip.tokenization_clip import bytes_to_unicode  # noqa: E402

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
MODELS = (
    "tests/goldens/models/tiny-a/tokenizer",
    "tests/goldens/models/tiny-b/tokenizer",
    "weights/solids/tokenizer",
    "tests/goldens/unit/tokenizer-odd",
)

PROMPTS = [
    "", " ", "\t\n\r", "a", "!", "!!", "!!!", "a!", "! !", "wow!!! a cube!", "a!b!c", "!a", "\u2757!",
    "a red cube on top of a blue sphere", "A Red CUBE On Top Of A BLUE Sphere", "  a   red\tcube \n on\r\n top  ",
    "a large green cylinder, left of a small yellow cone.", "three cubes; two spheres: one cone?",
    "don't", "it's we're they've I'm she'll he'd", "DON'T WE'LL", "'s't're've'm'll'd", "''s", "rock'n'roll",
    "'\u017f", "a'\u017fb", "o'clock", "'", "''", "'re", "'r", "'v", "'l", "'la", "x'S",
    "1234567890", "3.14159", "1,000,000", "a1b2c3", "\u00bd \u00b2 \u2167 \u0663 \u4e94", "v2.0-beta+build",
    "hello-world_foo", "e-mail: a.b@c.org", "http://example.org/?q=1&r=2#x", "C++ && C# || F*", "<html>", "a/b\\c",
    "na\u00efve caf\u00e9", "nai\u0308ve cafe\u0301", "\u1e69 s\u0323\u0307 s\u0307\u0323", "\u212b \u00c5 A\u030a",
    "\u00df \u1e9e STRASSE", "\ufb01ne \ufb03", "\u0130stanbul I\u0307 \u0131", "\u01c5 \u01c4", "\u212a \u2126",
    "\u03a3\u03a4\u03a1\u0391\u03a4\u039f\u03a3", "\u03a3\u0391\u03a3 \u03a3 \u0391\u03a3.", "\u0391\u03a3'\u0391",
    "\u0391\u03a3\u00ad", "\u039f\u0394\u039f\u03a3-\u03a3\u0399\u0393\u039c\u0391\u03a3", "\u0391\u0345\u03a3",
    "a\u0345b \u0345 \u1fb3 \u1f80", ".\u0345. a\u0301\u0345\u0301",
    "\u0916\u093c \u0958", "\u0f43", "\u2adc", "\U0001d15e",
    "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab\u1100\u116e\u11a8", "\ub098\u11a7\u11a8", "\uac00\u11a8",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u4e2d\u6587 \u4e2d \u6587\u5b57", "\uf900 \uf9ff \U0002f800",
    "\U00020000\U0002a6df", "\u3400\u4dbf\u9fff", "\uff21\uff22\uff23 \uff11\uff12", "\u30ac \u30ab\u3099",
    "\u0645\u0631\u062d\u0628\u0627", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0422\u0415\u041a\u0421\u0422",
    "\u05e9\u05dc\u05d5\u05dd", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001f642", "\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f", "\u2460 \u24b6",
    "a\u00adb", "a\u200bb", "a\u200db", "\ufeffa", "a\u2028b\u2029c", "a\u00a0b\u3000c\u2003d\u1680e", "a\u0085b",
    "a\x00b", "\x00", "a\x07b\x1b[31mred", "a\x7fb", "a\x0bb\x0cc", "a\x1cb\x1fc", "\ufffd a\ufffdb", "a\ue000b",
    "\u0301", "\u0301a", "e!\u0301", "a\u0301\u0323\u0301\u0323", "\U0001d400\U0001d41a", "\u2070\u2071\u207f",
    "<|", "|>", "<|pad|>", "<|startoftext", "</w>", "a</w>b", "\u0120 \u0100", "#version: 0.2",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabcabc", "dedededededede", "....,,,,!!!!",
    "bcbcbcbcabab", "ababababab", "cdcdcdcdc", "dcdcdcdcd", "ababcdcdabab",
    "cube" * 40, "a red cube " * 30, "x " * 200, "\u65e5" * 90, "!" * 90, "\u00e9" * 100, "0" * 77,
    "the quick brown fox jumps over the lazy dog", "THE QUICK BROWN FOX",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "a cube and a sphere and a cone and a torus and a cylinder", "left right above below behind front",
]


def write_odd(folder):
    """Random merges over a few letters, with repeats, and a vocabulary that lacks some of the results."""
    rng = random.Random(7)
    letters = list("abcdeor!.,0'") + ["\u00c3", "\u00a9"]
    pool = letters + [x + "</w>" for x in letters]
    merges = []
    for _ in range(300):
        first, second = rng.choice(pool), rng.choice(pool)
        if first.endswith("</w>"):
            continue
        merges.append((first, second))
        pool.append(first + second)
        if rng.random() < 0.1:
            merges.append(rng.choice(merges))
    rng.shuffle(merges)
    # more urgent than the merge that makes it possible: "abab" is still ab ab, because a round joins all of one pair
    merges = [("ab", "a"), ("cd", "cd"), ("d", "cd")] + merges + [("a", "b"), ("c", "d")]
    base = list(bytes_to_unicode().values())
    tokens = base + [b + "</w>" for b in base]
    for merge in merges:
        if "".join(merge) not in tokens and rng.random() < 0.9:
            tokens.append("".join(merge))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n", encoding="utf-8")
    text = "#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n"
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    added = {str(vocab[t]): {"content": t, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False,
                             "special": True} for t in ("!", "<|startoftext|>", "<|endoftext|>")}
    added["2000"] = {"content": "torus", "lstrip": True, "rstrip": True, "normalized": True, "single_word": False,
                     "special": False}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 40, "pad_token": "!",
              "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
              "added_tokens_decoder": added}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def main():
    write_odd(HERE / "unit" / "tokenizer-odd")
    with open(HERE / "unit" / "tokenizer.jsonl", "w", encoding="ascii") as out:
        for model in MODELS:
            tokenizer = CLIPTokenizer.from_pretrained(ROOT / model)
            length = tokenizer.model_max_length
            for text in PROMPTS:
                padded = tokenizer(text, padding="max_length", max_length=length, truncation=True)
                truncated = len(tokenizer(text)["input_ids"]) > length
                line = {"model": model, "text": text, "used": sum(padded["attention_mask"]), "truncated": truncated,
                        "ids": padded["input_ids"]}
                out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
