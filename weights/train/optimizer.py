"""Muon for matrices and convolutions, Adam for everything else.

Muon (Jordan et al. 2024) replaces a matrix's momentum by the nearest semi-orthogonal matrix, found with five Newton-
Schulz steps; scaled as in Liu et al. 2025 (0.2 * sqrt(longer side)), so that one learning rate serves both halves.
"""
import torch


def split_parameters(modules, first_and_last=()):
    """Matrices for Muon; vectors, embeddings and the named first and last layers for Adam."""
    matrices, others = [], []
    for name, parameter in modules.named_parameters():
        if not parameter.requires_grad:
            continue
        plain = parameter.ndim < 2 or min(parameter.shape[0], parameter[0].numel()) < 8
        special = "embedding" in name.rsplit(".", 2)[-2:][0] or any(part in name for part in first_and_last)
        (others if plain or special else matrices).append(parameter)
    return matrices, others


def orthogonalised(update):
    """update: [rows, columns]; five Newton-Schulz steps in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class MuonWithAdam(torch.optim.Optimizer):
    def __init__(self, modules, rate, decay=0.0, betas=(0.9, 0.99), momentum=0.95, first_and_last=()):
        matrices, others = split_parameters(modules, first_and_last)
        groups = [{"params": matrices, "muon": True}, {"params": others, "muon": False}]
        super().__init__(groups, {"lr": rate, "decay": decay, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    (self._muon if group["muon"] else self._adam)(parameter, group)

    def _muon(self, parameter, group):
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient, average = parameter.grad, state["momentum"]
        average.lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(average, group["momentum"]).reshape(parameter.shape[0], -1)
        update = orthogonalised(update).to(parameter.dtype).reshape(parameter.shape)
        scale = 0.2 * max(parameter.shape[0], parameter[0].numel()) ** 0.5
        parameter.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)

    def _adam(self, parameter, group):
        state = self.state[parameter]
        if not state:
            state["steps"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["steps"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(parameter.grad, 1 - first)
        state["square"].lerp_(parameter.grad.square(), 1 - second)
        rate = group["lr"] / (1 - first ** state["steps"])
        spread = (state["square"] / (1 - second ** state["steps"])).sqrt_().add_(1e-8)
        parameter.addcdiv_(state["mean"], spread, value=-rate)
