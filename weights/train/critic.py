"""A critic of the decoder's predictions: a small network that learns to tell predicted objects from true ones.

A squared error hardly sees that an edge is bent by half a pixel or that a corner is round, and neither does the image
encoder, which looks at patches of eight pixels. What distinguishes prediction from render is exactly that, so a critic
that is trained beside the decoder finds it, and its gradient says how to straighten an edge. It is a PatchGAN (Isola et
al. 2017), looks at 32 pixels at a time, and sees objects with some pixels around them and nothing else: the ground's
grain cannot be foreseen, and a prediction without it would be told at once. It is asked which of the same place's two
versions is true (relativistic pairing with zero-centred gradient penalties: Huang et al. 2024); asked of each by itself
it had learned nothing after a hundred steps, because scenes differ so much more than the versions do.

It judges predictions from little and middle noise, as in adversarial distillation (Sauer et al. 2023), where the noisy
picture says nearly everything and a sharp prediction is therefore also a right one.
"""
import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = 24
BLUR = 5                        # pixels: it sees pictures faintly and what a blur of this width takes away strongly
FAINTLY, STRONGLY = 0.25, 2.0
LEAST_RIM, MOST_RIM = 3, 6      # pixels around the objects that it sees, drawn for each batch
RATE = 1e-3
PENALTY, PENALTY_EVERY = 0.003, 4
WARM_UP_STEPS = 60              # in which it learns and is not listened to
STRENGTH = 0.7                  # length of its gradient, in lengths of the squared error's
MEMORY = 0.95                   # of the running mean length of its gradient


class Critic(nn.Module):
    """[n, 3, 64, 64] pictures and [n, 1, 64, 64] masks of what it may see -> [n, 1, 16, 16]: larger where truer."""

    def __init__(self, width=CHANNELS):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, 2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1))
        for layer in self.layers[::2]:
            nn.init.kaiming_normal_(layer.weight, 0.2)
            nn.init.zeros_(layer.bias)

    def forward(self, pictures, seen):
        blurred = F.avg_pool2d(F.pad(pictures, [BLUR // 2] * 4, mode="reflect"), BLUR, 1)
        edges = FAINTLY * pictures + STRONGLY * (pictures - blurred)
        return self.layers(torch.cat([edges * seen, seen], 1)).float()


class Critique:
    """The critic, its training, and how loudly it speaks."""

    def __init__(self, device):
        self.device = device.type
        self.critic = Critic().to(device)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), RATE, betas=(0.5, 0.99))
        self.step, self.length = 0, 0.0

    def _judge(self, pictures, seen, where):
        """What it thinks of every place where there is something to see."""
        with torch.autocast(self.device, torch.bfloat16):
            return self.critic(pictures, seen)[where]

    def _penalty(self, pictures, seen, where):
        """Half the mean squared gradient of its judgement of a place."""
        pictures = pictures.detach().requires_grad_()
        gradient, = torch.autograd.grad(self.critic(pictures, seen)[where].sum(), pictures, create_graph=True)
        return 0.5 * gradient.square().sum() / where.sum()

    def _learn(self, predicted, clean, seen, where):
        true, false = (self._judge(pictures, seen, where) for pictures in (clean, predicted))
        loss = F.softplus(false - true).mean()
        numbers = {"critic": loss, "critic_tells": (true > false).float().mean()}
        if self.step % PENALTY_EVERY == 0:
            some = slice(self.step // PENALTY_EVERY % 2, None, 2)
            for pictures in (clean, predicted):
                loss = loss + PENALTY * PENALTY_EVERY * self._penalty(pictures[some], seen[some], where[some])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return numbers

    def listen(self, predicted, clean, objects, squared_gradient):
        """A gradient for `predicted` [n, 3, 64, 64], which lies beside `squared_gradient`, that of the squared error;
        zero at first. Trains the critic by one step. Returns it and the numbers to log."""
        rim = int(torch.randint(LEAST_RIM, MOST_RIM + 1, ()))
        seen = F.max_pool2d(objects, 2 * rim + 1, stride=1, padding=rim)
        where = F.max_pool2d(seen, 4) > 0
        predicted = predicted.detach()
        numbers = self._learn(predicted, clean, seen, where)
        if self.step <= WARM_UP_STEPS:
            return torch.zeros_like(predicted), numbers
        with torch.no_grad():
            true = self._judge(clean, seen, where)
        predicted.requires_grad_()
        loss = F.softplus(true - self._judge(predicted, seen, where)).mean()
        gradient, = torch.autograd.grad(loss, predicted)
        length = float(gradient.norm())
        self.length = MEMORY * self.length + (1 - MEMORY) * length if self.length else length
        return gradient * (STRENGTH * float(squared_gradient.norm()) / max(self.length, 1e-12)), numbers
