"""The numbers that `pulse-jax selfcheck` holds a device to, by the networks' definitions in float64, with PyTorch.

`python -m examples.training.make_golden` needs torch and writes `pulse_jax/data/golden.npz`: latents and noise, the
embedded generator's pictures, and the gradients of how far they are from a target once downscaled. It shares no
arithmetic with the package: StyleGAN2 (Karras et al. 2020) as its paper defines it, kernels modulated image by image.
To be run again when the embedded generator changes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import pulse_jax
from pulse_jax.engine.selfcheck import FACTOR, GOLDEN
from pulse_jax.images.degradations.bicubic import bicubic_matrix

_LOOKS = 2
_GAIN = 2**0.5


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float64))


def _lrelu(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.leaky_relu(x, 0.2) * _GAIN


def _mapped(params: Any, config: Any, z: torch.Tensor) -> torch.Tensor:
    x = z / torch.sqrt(torch.mean(z * z) + 1e-8)
    for layer in range(config.mapping_layers):
        weight, bias = (_tensor(params[f"dense{layer}_{kind}"]) for kind in ("weight", "bias"))
        x = x @ weight * (config.mapping_lr_multiplier / len(weight) ** 0.5) + bias * config.mapping_lr_multiplier
        x = _lrelu(x)
    return x


def _style(params: Any, w: torch.Tensor) -> torch.Tensor:
    return w @ _tensor(params["weight"]) / len(w) ** 0.5 + _tensor(params["bias"])


def _convolved(x: torch.Tensor, kernel: torch.Tensor, padding: int) -> torch.Tensor:
    """x (c, h, w), kernel (3, 3, i, o)."""
    return torch.nn.functional.conv2d(x[None], kernel.permute(3, 2, 0, 1), padding=padding)[0]


def _stretched(x: torch.Tensor) -> torch.Tensor:
    """Zeros between the pixels."""
    channels, height, width = x.shape
    wide = torch.zeros(channels, 2 * height - 1, 2 * width - 1, dtype=x.dtype)
    wide[:, ::2, ::2] = x
    return wide


def _filtered(x: torch.Tensor, padding: tuple[int, int], gain: float) -> torch.Tensor:
    """Each channel by [1, 3, 3, 1] in both directions."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    padded = torch.nn.functional.pad(x, (*padding, *padding))
    return torch.nn.functional.conv2d(padded[:, None], (gain * torch.outer(taps, taps))[None, None])[:, 0]


def _layer(params: Any, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor, *, up: bool) -> torch.Tensor:
    kernel = _tensor(params["kernel"]) * _style(params["style"], w)[:, None]
    kernel = kernel / torch.sqrt(torch.sum(kernel**2, dim=(0, 1, 2)) + 1e-8)
    y = _filtered(_convolved(_stretched(x), kernel, 2), (1, 1), 4.0) if up else _convolved(x, kernel, 1)
    return _lrelu(y + noise[..., 0] * _tensor(params["noise_strength"]) + _tensor(params["bias"])[:, None, None])


def _rgb(params: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    kernel = _tensor(params["kernel"]) * (_style(params["style"], w) / len(x) ** 0.5)[:, None]
    return _convolved(x, kernel, 0) + _tensor(params["bias"])[:, None, None]


def _synthesized(params: Any, config: Any, w: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
    """The picture (h, w, 3) of rows w (L, d)."""
    x, image, layer = _tensor(params["const"]).permute(2, 0, 1), None, 0
    for size in config.blocks:
        for up in (False,) if size == 4 else (True, False):
            x = _layer(params[f"b{size}_conv{int(not up)}"], x, w[layer], noise[layer], up=up)
            layer += 1
        rgb = _rgb(params[f"b{size}_torgb"], x, w[layer])
        image = rgb if image is None else _filtered(_stretched(image), (2, 2), 4.0)[:, : 2 * len(image[0])] + rgb
    assert image is not None
    return image.permute(1, 2, 0) * 0.5 + 0.5


def main() -> None:
    """Compute and write them."""
    generator = pulse_jax.load_generator()
    config, params = generator.config, generator.params
    # Its numbers stay the same with every version of NumPy.
    draw = np.random.RandomState(0)
    latents = draw.normal(size=(_LOOKS, config.latent_dim)).astype(np.float32)
    noise = [draw.normal(size=shape).astype(np.float32) for shape in config.noise_shapes]
    low = config.resolution // FACTOR
    target = draw.uniform(0.2, 0.8, (low, low, 3)).astype(np.float32)
    down = _tensor(bicubic_matrix(config.resolution, FACTOR))
    pictures, gradients = [], []
    for latent in latents:
        w = _mapped(params["mapping"], config, _tensor(latent)).repeat(config.num_layers, 1).requires_grad_()
        picture = _synthesized(params["synthesis"], config, w, list(map(_tensor, noise)))
        small = torch.einsum("ph,qw,hwc->pqc", down, down, picture)
        torch.mean((small - _tensor(target)) ** 2).backward()
        assert w.grad is not None
        pictures.append(picture.detach().numpy().astype(np.float32))
        gradients.append(w.grad.numpy().astype(np.float32))
    path = Path(pulse_jax.__path__[0]) / "data" / GOLDEN
    drawn: dict[str, Any] = {f"noise_{layer:02}": array for layer, array in enumerate(noise)}
    np.savez_compressed(path, z=latents, target=target, picture=pictures, gradient=gradients, **drawn)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
