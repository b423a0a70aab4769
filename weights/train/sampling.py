"""The whole cascade in torch, as the engine runs it: text -> embedding -> 64 -> 256 -> 1024 pixels, in batches."""
import json
import pathlib

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.unclip.text_proj import UnCLIPTextProjModel
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from weights.train import diffusion

DEFAULTS = {"prior_steps": 25, "prior_cfg_scale": 2.0, "steps": 25, "cfg_scale": 4.0, "sr256_steps": 2,
            "sr1024_steps": 2}


def prediction(folder):
    """What the decoder of a model directory predicts."""
    path = pathlib.Path(folder) / "decoder_scheduler" / "scheduler_config.json"
    return json.loads(path.read_text())["prediction_type"]


def _unclip(prediction_type="sample", **options):
    return UnCLIPScheduler(num_train_timesteps=diffusion.STEPS, clip_sample=True, beta_schedule="squaredcos_cap_v2",
                           prediction_type=prediction_type, **options)


def schedulers(decoder_prediction):
    """One scheduler for each stage, under its folder name."""
    return {
        "prior_scheduler": _unclip(variance_type="fixed_small_log", clip_sample_range=5.0),
        "decoder_scheduler": _unclip(decoder_prediction, variance_type="learned_range", clip_sample_range=1.0),
        "super_res_scheduler": _unclip(variance_type="fixed_small_log", clip_sample_range=1.0),
        "super_res_1024_scheduler": DDIMScheduler(
            num_train_timesteps=diffusion.STEPS, beta_start=1e-4, beta_end=2e-2, beta_schedule="linear",
            prediction_type="sample", clip_sample=True, clip_sample_range=1.0, timestep_spacing="trailing")}


def load_scheduler(path):
    config = json.loads((path / "scheduler_config.json").read_text())
    classes = {"DDIMScheduler": DDIMScheduler, "UnCLIPScheduler": UnCLIPScheduler}
    return classes[config["_class_name"]].from_pretrained(path)


def run(scheduler, steps, noisy, predict, generator):
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps
    for i, t in enumerate(times):
        output = predict(noisy, t)
        if isinstance(scheduler, DDIMScheduler):
            noisy = scheduler.step(output, t, noisy).prev_sample
        else:
            before = times[i + 1] if i + 1 < len(times) else None
            noisy = scheduler.step(output, t, noisy, prev_timestep=before, generator=generator).prev_sample
    return noisy


class Cascade:
    """The model directory `folder`; the upsamplers are loaded when they exist."""

    def __init__(self, folder, device="cpu"):
        folder = pathlib.Path(folder)
        self.device = device
        self.schedulers = {name: load_scheduler(folder / name) for name in schedulers("sample")}
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = self._load(CLIPTextModelWithProjection, folder / "text_encoder")
        self.prior = self._load(PriorTransformer, folder / "prior")
        self.decoder = self._load(UNet2DConditionModel, folder / "decoder")
        self.text_proj = self._load(UnCLIPTextProjModel, folder / "text_proj")
        self.upsampler_256 = self._load(UNet2DModel, folder / "super_res_first")
        self.upsampler_1024 = self._load(UNet2DModel, folder / "super_res_1024")

    def _load(self, cls, path):
        if not (path / "config.json").exists():
            return None
        return cls.from_pretrained(path, torch_dtype=torch.float32).eval().to(self.device)

    @torch.no_grad()
    def text(self, captions):
        """Text embeddings, states and mask of [empty captions; captions]."""
        texts = [""] * len(captions) + list(captions)
        tokens = self.tokenizer(texts, padding="max_length", max_length=self.tokenizer.model_max_length,
                                truncation=True, return_tensors="pt").to(self.device)
        encoded = self.text_encoder(tokens.input_ids)
        return encoded.text_embeds, encoded.last_hidden_state, tokens.attention_mask.bool()

    @torch.no_grad()
    def embed(self, captions, steps=25, scale=2.0, seed=0):
        generator = torch.Generator().manual_seed(seed)
        text, states, mask = self.text(captions)

        def predict(noisy, t):
            output = self.prior(torch.cat([noisy, noisy]), t, proj_embedding=text, encoder_hidden_states=states,
                                attention_mask=mask).predicted_image_embedding
            empty, given = output.chunk(2)
            return empty + scale * (given - empty)

        noise = torch.randn(len(captions), text.shape[1], generator=generator).to(self.device)
        latents = run(self.schedulers["prior_scheduler"], steps, noise, predict, generator)
        return self.prior.post_process_latents(latents)

    @torch.no_grad()
    def decode(self, captions, embeddings, steps=25, scale=4.0, seed=0):
        generator = torch.Generator().manual_seed(seed + 1)
        text, states, mask = self.text(captions)
        context, added = self.text_proj(image_embeddings=embeddings, prompt_embeds=text,
                                        text_encoder_hidden_states=states, do_classifier_free_guidance=True)
        mask = F.pad(mask, (4, 0), value=True)

        def predict(noisy, t):
            output = self.decoder(torch.cat([noisy, noisy]), t, context, class_labels=added, attention_mask=mask).sample
            empty, given = output.chunk(2)
            return torch.cat([empty[:, :3] + scale * (given[:, :3] - empty[:, :3]), given[:, 3:]], 1)

        size = self.decoder.config.sample_size
        noise = torch.randn(len(captions), 3, size, size, generator=generator).to(self.device)
        return run(self.schedulers["decoder_scheduler"], steps, noise, predict, generator).clamp(-1, 1)

    @torch.no_grad()
    def upscale(self, network, scheduler, pictures, steps, seed=0):
        generator = torch.Generator().manual_seed(seed + 2)
        size = network.config.sample_size
        low = F.interpolate(pictures, size=[size, size], mode="bicubic", antialias=True, align_corners=False)
        noise = torch.randn(len(pictures), 3, size, size, generator=generator).to(self.device)
        return run(self.schedulers[scheduler], steps, noise,
                   lambda noisy, t: network(torch.cat([noisy, low], 1), t).sample, generator).clamp(-1, 1)

    def to_256(self, pictures, steps=DEFAULTS["sr256_steps"], seed=0):
        return self.upscale(self.upsampler_256, "super_res_scheduler", pictures, steps, seed)

    def to_1024(self, pictures, steps=DEFAULTS["sr1024_steps"], seed=0):
        return self.upscale(self.upsampler_1024, "super_res_1024_scheduler", pictures, steps, seed)


def to_bytes(pictures):
    """[batch, 3, height, width] in -1..1 -> uint8 [batch, height, width, 3]."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
