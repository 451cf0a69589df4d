"""3×3 convolutions as matrix products with fewer multiplications, for CPUs; NHWC, kernels shared by the batch.

A kernel is put into its form once; convolving with the form then costs transforms, which are additions, and matrix
products. Both forms are exact in real arithmetic and differentiable to any order.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["Upsampling", "Winograd", "upsampling", "upsampling_conv", "weave", "winograd", "winograd_conv"]

Activations = Float[Array, "_ _ _ _"]
Kernel = Float[Array, "_ _ _ _"]
_TILE = 4
# Where polynomials are evaluated, infinity beside. Of the usual choices this one rounds least: the result is off by
# some 3e-6 of its root mean square in float32 with 512 channels, by 5e-6 with ±2 instead; a direct sum by 5e-7.
_POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)
_SIDE = len(_POINTS) + 1


class Winograd(NamedTuple):
    """A 3×3 kernel in the form that `winograd_conv` takes: 6×6 matrices for tiles of 4×4 outputs."""

    products: Float[Array, "6 6 i o"]


class Upsampling(NamedTuple):
    """A 3×3 kernel in the form that `upsampling_conv` takes: nine matrices, side by side by the input they share."""

    smooth: Float[Array, "i o"]
    rows: Float[Array, "i 2*o"]
    columns: Float[Array, "i 2*o"]
    both: Float[Array, "i 4*o"]


def _matmul(x: Activations, matrix: Float[Array, "i o"]) -> Activations:
    product = jnp.matmul(x.reshape(-1, x.shape[-1]), matrix, precision=jax.lax.Precision.HIGHEST)
    return product.reshape(*x.shape[:-1], -1)


@functools.cache
def _toom_cook() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices (output, kernel, input) with output @ ((kernel @ k) * (input @ x)) the correlation of 6 x and 3 k.

    The transpose of multiplying polynomials by their values at `_POINTS` (Winograd 1980; Lavin and Gray 2016).
    """
    points = np.array(_POINTS)
    others = [np.delete(points, i) for i in range(len(points))]
    last = np.eye(_SIDE)[-1]
    output = np.column_stack([points[None] ** np.arange(_TILE)[:, None], last[-_TILE:]])
    scale = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    kernel = np.vstack([points[:, None] ** np.arange(3) / scale[:, None], last[-3:]])
    # numpy.poly gives the coefficients of (x - p)(x - q)…, highest first.
    rows = [np.append(np.poly(rest)[::-1], 0.0) for rest in others]
    return output, kernel, np.vstack([*rows, np.poly(points)[::-1]])


def _combine(matrix: np.ndarray, parts: Sequence[Array]) -> list[Array]:
    """matrix @ parts, written out: additions that XLA fuses, without the zeros and ones."""
    sums = []
    for row in matrix:
        terms = [part if c == 1 else float(c) * part for c, part in zip(row, parts, strict=True) if c]
        sums.append(functools.reduce(jnp.add, terms))
    return sums


def weave(phases: Sequence[Sequence[Activations]]) -> Activations:
    """A square of (n, h, w, c) phases, by row and column modulo its side s, as (n, s·h, s·w, c)."""
    side = len(phases)
    n, h, w, c = phases[0][0].shape
    rows = [jnp.stack(row, axis=3).reshape(n, h, side * w, c) for row in phases]
    return jnp.stack(rows, axis=2).reshape(n, side * h, side * w, c)


def winograd(kernel: Kernel) -> Winograd:
    """Return the form of a kernel (3, 3, i, o), 4 times its size."""
    transform = jnp.asarray(_toom_cook()[1], kernel.dtype)
    return Winograd(jnp.einsum("pa,qb,abio->pqio", transform, transform, kernel, precision=jax.lax.Precision.HIGHEST))


def _every(x: Activations, axis: int) -> list[Activations]:
    """The first, second, … sixth element of every tile along an axis, tiles overlapping by two."""
    last = x.shape[axis] - _SIDE + 1
    return [jax.lax.slice_in_dim(x, i, i + last, _TILE, axis) for i in range(_SIDE)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _winograd_conv(x: Activations, form: Winograd, transposed: bool) -> Any:
    return _winograd(x, form, transposed)


def _winograd(x: Activations, form: Winograd, transposed: bool) -> Activations:
    output, _, inputs = _toom_cook()
    matrices = form.products
    if transposed:
        # Flipping the tiles and what comes out of them is as good as flipping the kernel: one form serves both ways.
        output, inputs, matrices = output[::-1], inputs[:, ::-1], matrices.swapaxes(2, 3)
    n, height, width, _ = x.shape
    tiles = (n, height // _TILE, width // _TILE)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    products = []
    for row, matrix in zip(_combine(inputs, _every(padded, 1)), matrices, strict=True):
        part = jnp.stack(_combine(inputs, _every(row, 2)))
        product = jnp.matmul(part.reshape(_SIDE, -1, x.shape[-1]), matrix, precision=jax.lax.Precision.HIGHEST)
        products.append(product.reshape(_SIDE, *tiles, -1))
    return weave([_combine(output, list(row)) for row in _combine(output, products)])


def _winograd_backward(
    transposed: bool, residuals: tuple[Activations, Winograd], cotangent: Activations
) -> tuple[Activations, Winograd]:
    x, form = residuals
    (grad_form,) = jax.linear_transpose(lambda form: _winograd(x, form, transposed), form)(cotangent)
    return _winograd_conv(cotangent, form, not transposed), grad_form


# The automatic transpose would add overlapping tiles up, one pass each.
_winograd_conv.defvjp(
    lambda x, form, transposed: (_winograd_conv(x, form, transposed), (x, form)),
    _winograd_backward,
)


def winograd_conv(x: Activations, form: Winograd) -> Activations:
    """Correlation of x (n, h, w, i) with a 3×3 kernel, zero padding 1, with a quarter of the multiplications.

    F(4×4, 3×3) of Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", section 4.

    Raises:
        ValueError: The height or width of x is no multiple of 4.
    """
    if x.shape[1] % _TILE or x.shape[2] % _TILE:
        raise ValueError(f"x: expected a height and width that are multiples of {_TILE}, got shape {x.shape}")
    result: Any = _winograd_conv(x, form, False)
    return result


def upsampling(kernel: Kernel) -> Upsampling:
    """Return the form of a kernel (3, 3, i, o), of the same size."""

    def parts(k: Array) -> tuple[Array, Array, Array]:
        return k[0] + k[1] + k[2], k[0], k[2]

    (ss, sb, sa), (bs, bb, ba), (as_, ab, aa) = (parts(row) for row in parts(kernel))
    return Upsampling(
        smooth=ss,
        rows=jnp.concatenate([bs, as_], axis=1),
        columns=jnp.concatenate([sb, sa], axis=1),
        both=jnp.concatenate([bb, ba, ab, aa], axis=1),
    )


def _rise(x: Activations, axis: int) -> Activations:
    """x[i − 1] − x[i] along an axis, zeros outside: one element more."""
    padding = [(0, 0)] * 4
    padding[axis] = (1, 0)
    before = jnp.pad(x, padding)
    padding[axis] = (0, 1)
    return before - jnp.pad(x, padding)


def upsampling_conv(x: Activations, form: Upsampling) -> Activations:
    """Nearest ×2, then correlation with a 3×3 kernel, zero padding 1, with a quarter of the multiplications.

    Along one axis an even output is (k0 + k1 + k2) x[i] + k0 (x[i − 1] − x[i]) and an odd one the same sum plus
    k2 (x[i + 1] − x[i]): three products for two outputs, nine for four in two dimensions, instead of 36.
    """
    height, width = x.shape[1:3]
    rise = _rise(x, 1)
    smooth = _matmul(x, form.smooth)
    rows = jnp.split(_matmul(rise, form.rows), 2, axis=-1)
    columns = jnp.split(_matmul(_rise(x, 2), form.columns), 2, axis=-1)
    both = jnp.split(_matmul(_rise(rise, 2), form.both), 4, axis=-1)

    def phase(a: int, b: int) -> Activations:
        down, right = slice(a, a + height), slice(b, b + width)
        sides = (-1) ** a * rows[a][:, down] + (-1) ** b * columns[b][:, :, right]
        return smooth + sides + (-1) ** (a + b) * both[2 * a + b][:, down, right]

    return weave([[phase(a, b) for b in (0, 1)] for a in (0, 1)])
