"""The noise schedules and the losses of the four diffusion models.

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise

Networks predict x_0 ("sample") or the noise ("epsilon"); the weights below are always weights of the squared error in
x_0, so a noise prediction's own error counts (1 - abar) / abar times less.
"""
import math

import torch
import torch.nn.functional as F

STEPS = 1000
LARGEST_MISS = 10.0     # squared, in standard deviations: what an untrained mean may add to the bound


def cosine_abar():
    """UnCLIPScheduler's squaredcos_cap_v2."""
    from diffusers import UnCLIPScheduler
    return UnCLIPScheduler(num_train_timesteps=STEPS).alphas_cumprod.float()


def linear_abar():
    """DDPM's linear betas, the paper's choice for 256 -> 1024."""
    betas = torch.linspace(1e-4, 2e-2, STEPS, dtype=torch.float64)
    return torch.cumprod(1 - betas, 0).float()


def column(values, like):
    return values.to(like.device).view(-1, *[1] * (like.ndim - 1))


def add_noise(clean, noise, abar):
    abar = column(abar, clean)
    return abar.sqrt() * clean + (1 - abar).sqrt() * noise


def clean_from_noise(noisy, noise, abar):
    abar = column(abar, noisy)
    return (noisy - (1 - abar).sqrt() * noise) / abar.sqrt()


def noise_between(clean, noisy, abar):
    abar = column(abar, noisy)
    return (noisy - abar.sqrt() * clean) / (1 - abar).sqrt()


def error_length(squared, small):
    """Lengths of errors from their squares; below `small` they grow as the square does, without a kink at 0."""
    return (squared + small ** 2).sqrt() - small


def edge_strength(pictures, cell):
    """Mean length of the colours' gradients over each cell of pixels, between pixels and between pairs of pixels: a
    pattern that changes with every pixel has the first as cheaply as grain has, but not the second."""
    strengths = []
    for part in (1, 2):
        pixels = F.avg_pool2d(pictures, part)
        down, right = pixels[:, :, 1:, :-1] - pixels[:, :, :-1, :-1], pixels[:, :, :-1, 1:] - pixels[:, :, :-1, :-1]
        length = ((down.square() + right.square()).mean(1, keepdim=True) + 1e-5).sqrt()
        strengths.append(F.avg_pool2d(length, cell // part))
    return torch.cat(strengths, 1)


def edge_error(predicted, clean, cell):
    """[batch]: how far the strength of edges is off, wherever in its cell an edge may be."""
    return (edge_strength(predicted, cell) - edge_strength(clean, cell)).abs().mean((1, 2, 3))


class LearnedRange:
    """Improved DDPM's learned variance: log var = f log beta_t + (1 - f) log posterior_t, f = (v + 1) / 2."""

    def __init__(self, abar):
        abar = abar.double()
        before = torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
        beta = 1 - abar / before
        posterior = beta * (1 - before) / (1 - abar)
        posterior[0] = posterior[1]
        self.log_beta, self.log_posterior = beta.log().float(), posterior.log().float()
        self.clean_factor = (before.sqrt() * beta / (1 - abar)).float()

    def bound(self, clean, predicted_clean, v, t):
        """The variational bound's term at t in bits a dimension; as in the paper, it does not train the mean.

        KL between two Gaussians whose means differ by clean_factor * (clean - predicted_clean). At t = 0, where the
        exact term is a discretised likelihood, the same expression is used.
        """
        t = t.to(self.log_beta.device)
        part = (v + 1) / 2
        upper, lower = column(self.log_beta[t], v), column(self.log_posterior[t], v)
        log_variance = part * upper + (1 - part) * lower
        distance = (column(self.clean_factor[t], v) * (clean - predicted_clean.detach())).square()
        misses = (distance * (-log_variance).exp()).clamp(max=LARGEST_MISS)
        kl = 0.5 * (log_variance - lower + (lower - log_variance).exp() + misses - 1)
        return kl.flatten(1).mean(1) / math.log(2)
