"""What every golden script shares: a reference environment that is pinned down, and deterministic files.

Import this module before transformers or diffusers: it hides ftfy, because CLIPTokenizer changes its
answers when ftfy happens to be installed, and the goldens must not depend on that.
"""
import json
import os
import sys

sys.modules["ftfy"] = None
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def versions():
    """The versions that made a file, recorded beside it."""
    import diffusers
    import PIL
    import transformers

    return {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
    }


def save_tensors(path, tensors):
    """Writes a safetensors file; tensors are cloned because safetensors refuses shared storage."""
    save_file({name: torch.as_tensor(value).clone().contiguous() for name, value in tensors.items()}, path)
    os.chmod(path, 0o644)


def save_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def to_uint8(images):
    """diffusers' numpy_to_pil rounding: [n, h, w, 3] floats in [0, 1] -> uint8, ties to even."""
    return (images * 255).round().astype("uint8")


def save_png(path, pixels):
    Image.fromarray(np.asarray(pixels)).save(path, optimize=True)
