"""The networks and the training step of dogs-dcgan in plain PyTorch, from the same configuration.

Layer by layer those of doggan/nets/dcgan.py; strided layers pad symmetrically, as PyTorch does, with the same sizes.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch_config
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from doggan.config import Config, LabelNoise


def _padding(kernel: int, stride: int) -> tuple[int, int]:
    """Padding, and output padding of the transposed layer, that divide or multiply the size by the stride."""
    padding = (kernel - stride + 1) // 2
    return padding, 2 * padding - (kernel - stride)


def _finish(layer: nn.Module, init: object, normalized: bool) -> nn.Module:
    nn.init.trunc_normal_(layer.weight, init.mean, init.std, init.mean - 2 * init.std, init.mean + 2 * init.std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer) if normalized else layer


def _after(width: int, i: int, config: object) -> list[nn.Module]:
    layers: list[nn.Module] = []
    if config.batch_norm[i]:
        layers.append(nn.BatchNorm2d(width, config.bn.epsilon, 1 - config.bn.momentum))
    layers.append(nn.LeakyReLU(config.slope, inplace=True) if config.slope else nn.ReLU(inplace=True))
    if config.dropout[i]:
        layers.append(nn.Dropout(config.dropout[i]))
    return layers


class Generator(nn.Module):
    """z [B, latent_dim] → pictures [B, 3, S, S] in [-1, 1]."""

    def __init__(self, config: Config, memory_format: torch.memory_format, channels: int = 3) -> None:
        super().__init__()
        c = config.generator
        self.memory_format = memory_format
        self.base = (c.base_depth, c.base_size, c.base_size)
        inputs = c.base_depth * c.base_size**2
        self.dense = _finish(nn.Linear(c.latent_dim, inputs), c.init, c.spectral_norm)
        layers, depth = [], c.base_depth
        for i, (width, stride) in enumerate(zip(c.widths, c.strides, strict=True)):
            padding, more = _padding(c.kernel, stride)
            conv = nn.ConvTranspose2d(depth, width, c.kernel, stride, padding, more, bias=not c.batch_norm[i])
            layers += [_finish(conv, c.init, c.spectral_norm), *_after(width, i, c)]
            depth = width
        self.convs = nn.Sequential(*layers)
        self.image = _finish(nn.Conv2d(depth, channels, 1), c.init, c.spectral_norm)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z).view(-1, *self.base).contiguous(memory_format=self.memory_format)
        return torch.tanh(self.image(self.convs(x)))


class Discriminator(nn.Module):
    """Pictures [B, 3, S, S] → logits [B, 1]."""

    def __init__(self, config: Config, size: int, channels: int = 3) -> None:
        super().__init__()
        c = config.discriminator
        layers, depth = [], channels
        for i, (width, stride) in enumerate(zip(c.widths, c.strides, strict=True)):
            padding, _ = _padding(c.kernel, stride)
            conv = nn.Conv2d(depth, width, c.kernel, stride, padding, bias=not c.batch_norm[i])
            layers += [_finish(conv, c.init, c.spectral_norm), *_after(width, i, c)]
            depth, size = width, size // stride
        self.convs = nn.Sequential(*layers)
        self.logit = _finish(nn.Linear(depth * size**2, 1), c.init, c.spectral_norm)

    def forward(self, images: Tensor) -> Tensor:
        return self.logit(self.convs(images).flatten(1))


class Pictures:
    """All pictures on the device as uint8, and batches of them, mirrored at random, in [-1, 1]."""

    def __init__(self, images: Tensor, batch_size: int, memory_format: torch.memory_format) -> None:
        self.images = images  # uint8 [N, 3, S, S]
        self.batch_size, self.memory_format = batch_size, memory_format

    def batch(self) -> Tensor:
        device = self.images.device
        chosen = self.images[torch.randint(len(self.images), (self.batch_size,), device=device)]
        mirrored = torch.rand(self.batch_size, 1, 1, 1, device=device) < 0.5
        pictures = torch.where(mirrored, chosen.flip(3), chosen)
        return pictures.to(torch.float32, memory_format=self.memory_format) / 127.5 - 1


def _noisy(n: int, noise: LabelNoise, own: tuple[float, float], other: tuple[float, float], device: str) -> Tensor:
    """Labels uniform in `own`, exactly round(flip · n) of them in `other` instead."""
    flip = (torch.rand(n, device=device).argsort() < round(noise.flip * n))[:, None]
    u = torch.rand(n, 1, device=device)
    return torch.where(flip, other[0] + (other[1] - other[0]) * u, own[0] + (own[1] - own[0]) * u)


class Trainer:
    """Both networks, Adam for each with a cosine schedule, the average of G, and two ways to take a step.

    Args:
        config: of dogs-dcgan; its losses and optimizers are bce and Adam.
        images: uint8 [N, 3, S, S], on the device to train on.
        update: "simultaneous", both losses from one batch of fakes and one D(fake), as doggan does it; or
            "alternating", the loop that most people write: D learns from detached fakes, G from a second D(fake).
        channels_last: memory format of pictures and kernels.
        half: bfloat16 by autocast.
        compiled: both networks by torch.compile.
        capturable: so that a step can be captured in a CUDA graph.
    """

    def __init__(
        self,
        config: Config,
        images: Tensor,
        batch_size: int,
        *,
        update: str = "simultaneous",
        channels_last: bool = True,
        half: bool = False,
        compiled: bool = False,
        capturable: bool = False,
        total_steps: int = 40_000,
    ) -> None:
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.config, self.batch_size, self.half = config, batch_size, half
        self.device = images.device.type
        self.pictures = Pictures(images, batch_size, memory_format)
        g = Generator(config, memory_format).to(self.device, memory_format=memory_format)
        d = Discriminator(config, images.shape[-1]).to(self.device, memory_format=memory_format)
        self.g_parameters, self.d_parameters = list(g.parameters()), list(d.parameters())
        self.capturable = capturable
        self.optimizers = [
            self._adam(parameters, settings)
            for parameters, settings in (
                (self.g_parameters, config.g_optimizer),
                (self.d_parameters, config.d_optimizer),
            )
        ]
        self.schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, total_steps) for o in self.optimizers]
        # Batch-norm statistics too, but not their counters.
        self.state = [x for x in (*self.g_parameters, *g.buffers()) if x.is_floating_point()]
        self.average = [x.detach().clone() for x in self.state]
        if compiled:
            functorch_config.donated_buffer = False  # the graph of D(fake) is walked twice
            g, d = torch.compile(g), torch.compile(d)
        self.generator, self.discriminator = g, d
        self.take_step = {"simultaneous": self._simultaneous, "alternating": self._alternating}[update]

    def _adam(self, parameters: list[nn.Parameter], settings: object) -> torch.optim.Adam:
        rate = torch.tensor(settings.lr, device=self.device) if self.capturable else settings.lr
        betas = (settings.beta_1, settings.beta_2)
        return torch.optim.Adam(parameters, rate, betas, settings.epsilon, fused=True, capturable=self.capturable)

    def step(self) -> None:
        """One training step on a fresh batch."""
        self.take_step(self.pictures.batch())
        for schedule in self.schedules:
            schedule.step()

    def _autocast(self) -> contextlib.AbstractContextManager:
        # A captured graph must cast the weights anew in each replay.
        return torch.autocast(self.device, torch.bfloat16, enabled=self.half, cache_enabled=not self.capturable)

    def _fakes(self) -> Tensor:
        z = torch.randn(self.batch_size, self.config.generator.latent_dim, device=self.device)
        with self._autocast():
            return self.generator(z)

    def _score(self, images: Tensor) -> Tensor:
        with self._autocast():
            return self.discriminator(images).float()

    def _g_loss(self, on_fake: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(on_fake, torch.ones_like(on_fake))

    def _d_loss(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        noise = self.config.label_noise
        real = _noisy(self.batch_size, noise, noise.real, noise.fake, self.device)
        fake = _noisy(self.batch_size, noise, noise.fake, noise.real, self.device)
        cross_entropy = F.binary_cross_entropy_with_logits
        return cross_entropy(on_real, real) + cross_entropy(on_fake, fake)

    def _simultaneous(self, real: Tensor) -> None:
        fake = self._fakes()
        on_real, on_fake = self._score(real), self._score(fake)
        g_loss, d_loss = self._g_loss(on_fake), self._d_loss(on_real, on_fake)
        d_gradients = torch.autograd.grad(d_loss, self.d_parameters, retain_graph=True)
        g_gradients = torch.autograd.grad(g_loss, self.g_parameters)
        for parameters, gradients in ((self.g_parameters, g_gradients), (self.d_parameters, d_gradients)):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()
        self._update_average()

    def _alternating(self, real: Tensor) -> None:
        g_optimizer, d_optimizer = self.optimizers
        fake = self._fakes()
        d_loss = self._d_loss(self._score(real), self._score(fake.detach()))
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        self._g_loss(self._score(fake)).backward()
        g_optimizer.step()
        self._update_average()

    def _update_average(self) -> None:
        half_life = self.config.ema.half_life
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.state, 1 - 0.5 ** (self.batch_size / half_life))

    def captured(self) -> Callable[[], None]:
        """`step` as one CUDA graph, replayed; needs `capturable`."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):  # compiles, and makes the optimizers' state
                self.take_step(self.pictures.batch())
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.take_step(self.pictures.batch())

        def step() -> None:
            graph.replay()
            for schedule in self.schedules:
                schedule.step()

        return step

    def sample(self, n: int, batch_size: int) -> Iterator[Tensor]:
        """`n` pictures as uint8 on the host, a batch at a time."""
        self.generator.eval()
        with torch.inference_mode(), self._autocast():
            for start in range(0, n, batch_size):
                z = torch.randn(batch_size, self.config.generator.latent_dim, device=self.device)
                images = self.generator(z).float()
                yield ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()[: n - start]
        self.generator.train()
