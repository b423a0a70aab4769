"""How the shipped model is sampled: its schedulers and the defaults in unclip.json.

The defaults were chosen by weights.train.sweep on the validation split; the plot is in the model card's folder.
"""
import json
import pathlib

from diffusers import DDIMScheduler, UnCLIPScheduler

from weights.train import diffusion

DEFAULTS = {"prior_steps": 25, "prior_cfg_scale": 2.0, "steps": 25, "cfg_scale": 3.0, "sr256_steps": 2,
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
