"""Building blocks of both StyleGANs as pure functions on float NHWC activations of shape (n, h, w, c).

Convolutions carry their own backward pass: XLA's automatic one is many times slower on CPU inside `lax.scan`, while a
plain convolution with the flipped, transposed kernel is not. Every kernel is shared by the batch, so that `vmap` over
lanes stays one ordinary convolution.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax.generators.networks.fast_convolutions import (
    Upsampling,
    Winograd,
    upsampling_conv,
    weave,
    winograd_conv,
)

__all__ = [
    "BLOCK",
    "beside",
    "blur_1_2_1",
    "conv",
    "conv3x3",
    "dense",
    "fir",
    "instance_norm",
    "leaky_relu",
    "modulated_conv",
    "pixel_norm",
    "pointwise",
    "single",
    "split_rows",
    "upsample_conv",
    "upsample_image",
    "upsample_modulated_conv",
]

Activations = Float[Array, "_ _ _ _"]
Kernel = Float[Array, "_ _ _ _"]
Padding = tuple[tuple[int, int], tuple[int, int]]
BLOCK = "block"
"""What the outputs of blocks are called, for rematerialisation (`jax.checkpoint_policies`)."""
_LAYOUT = ("NHWC", "HWIO", "NHWC")
# On CPUs, XLA hands convolutions with more than 16 channels, on either side, to a library whose sums do not depend on
# the number of threads; the sums of those that it does itself do.
_MANY = 32


def dense(x: Float[Array, "... i"], weight: Float[Array, "i o"], bias: Float[Array, "..."]) -> Float[Array, "... o"]:
    """Return x · weight + bias, in float32 whatever the backend's default matrix precision."""
    return jnp.matmul(x, weight, precision=jax.lax.Precision.HIGHEST) + bias


def single(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return x in float32, or as it is where it is wider."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def pixel_norm(x: Float[Array, "... d"], eps: float = 1e-8) -> Float[Array, "... d"]:
    """Divide by the root mean square over the last axis (Karras et al. 2018, section 4.2)."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)


def beside(x: Float[Array, "... d"], y: Float[Array, "... e"]) -> Float[Array, "... f"]:
    """Return x and y joined along the last axis, f = d + e, their other axes broadcast."""
    batch = jnp.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    return jnp.concatenate([jnp.broadcast_to(part, (*batch, part.shape[-1])) for part in (x, y)], axis=-1)


@jax.custom_vjp
def leaky_relu(x: Array) -> Any:
    """Leaky ReLU of slope 0.2."""
    return jnp.maximum(x, 0.2 * x)


def _leaky_relu_forward(x: Array) -> tuple[Array, Array]:
    y = leaky_relu(x)
    return y, y


def _leaky_relu_backward(y: Array, cotangent: Array) -> tuple[Array]:
    # The output has the input's sign, so that the input need not be kept; slope 0.2 at 0, as PyTorch has it. A division
    # because XLA repeats cheaper operations, and all that leads up to them, for everything that uses the result.
    return (cotangent / jnp.where(y > 0, jnp.ones((), y.dtype), jnp.full((), 5.0, y.dtype)),)


leaky_relu.defvjp(_leaky_relu_forward, _leaky_relu_backward)


def _convolve(x: Activations, kernel: Kernel, padding: Padding) -> Activations:
    # GPUs and TPUs round the inputs of float32 products unless asked not to; bfloat16 ones are left alone.
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=_LAYOUT, precision=jax.lax.Precision.HIGHEST
    )


def _correlate(x: Activations, kernel: Kernel, padding: Padding) -> Activations:
    """Correlate; on CPUs few channels are folded first, so that bits do not depend on the number of threads."""
    columns, together = x.shape[2], 2 ** int(np.log2(max(1, _MANY // max(kernel.shape[2:]))))
    is_same = sum(padding[1]) == kernel.shape[1] - 1
    if together < 2 or columns % together or not is_same:
        return _convolve(x, kernel, padding)
    folded = functools.partial(_convolve_folded, padding=padding, together=together)
    return jax.lax.platform_dependent(x, kernel, cpu=folded, default=functools.partial(_convolve, padding=padding))


def _convolve_folded(x: Activations, kernel: Kernel, *, padding: Padding, together: int) -> Activations:
    """Correlate with `together` columns as the channels of one, which costs nothing but products with zeros."""
    (left, right), (height, width, inputs, outputs) = padding[1], kernel.shape
    before, after = -(-left // together), -(-right // together)
    # The tap by which a column of a folded input pixel comes into a column of a folded output pixel.
    to, of = jnp.arange(-before, after + 1)[:, None, None], jnp.arange(together)[:, None]
    tap = to * together + of - of.T + left
    taps = jnp.where(((tap >= 0) & (tap < width))[..., None, None], kernel[:, jnp.clip(tap, 0, width - 1)], 0)
    wide = taps.swapaxes(3, 4).reshape(height, before + after + 1, together * inputs, together * outputs)
    n, rows, columns, _ = x.shape
    y = _convolve(x.reshape(n, rows, columns // together, -1), wide, (padding[0], (before, after)))
    return y.reshape(n, y.shape[1], columns, outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Activations, kernel: Kernel, padding: Padding) -> Any:
    return _correlate(x, kernel, padding)


def conv(x: Activations, kernel: Kernel, padding: Padding) -> Activations:
    """Correlation with `kernel`, stride 1, zero `padding` per side; differentiable in both, to any order."""
    result: Any = _conv(x, kernel, padding)
    return result


def _conv_forward(x: Activations, kernel: Kernel, padding: Padding) -> tuple[Activations, tuple[Activations, Kernel]]:
    return conv(x, kernel, padding), (x, kernel)


def _conv_backward(
    padding: Padding, residuals: tuple[Activations, Kernel], cotangent: Activations
) -> tuple[Activations, Kernel]:
    x, kernel = residuals
    height, width = kernel.shape[:2]
    (top, bottom), (left, right) = padding
    opposite = ((height - 1 - top, height - 1 - bottom), (width - 1 - left, width - 1 - right))
    grad_x = conv(cotangent, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), opposite)
    return grad_x, _kernel_gradient(x, kernel, padding, cotangent)


def _kernel_gradient(x: Activations, kernel: Kernel, padding: Padding, cotangent: Activations) -> Kernel:
    height, width = kernel.shape[:2]
    if height == width == 3:
        return jax.linear_transpose(lambda k: _convolve(x, k, padding), kernel)(cotangent)[0]
    # Other windows take a path of XLA's that is ten times slower on CPU; one matrix product per tap does not.
    rows, columns = cotangent.shape[1:3]
    # lax.pad also crops: the backward pass of a window smaller than its padding pads by less than nothing.
    edges = ((0, 0, 0), *((before, after, 0) for before, after in padding), (0, 0, 0))
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), edges)
    taps = [
        jnp.tensordot(
            padded[:, i : i + rows, j : j + columns], cotangent, axes=((0, 1, 2), (0, 1, 2)), precision="highest"
        )
        for i in range(height)
        for j in range(width)
    ]
    return jnp.stack(taps).reshape(kernel.shape)


_conv.defvjp(_conv_forward, _conv_backward)


def _interleave(phases: list[list[Activations]]) -> Activations:
    """Weave four phases, by parity of row and column, into (n, h, w, c); even ones may be one longer than odd ones.

    Zeros in between and a sum, rather than stacking and transposing: transposed layouts would take the convolutions of
    the backward pass off XLA's fast path.
    """
    zero = jnp.zeros((), phases[0][0].dtype)
    height, width = (phases[0][0].shape[axis] + phases[1][1].shape[axis] for axis in (1, 2))

    def edges(parity: int, count: int, total: int) -> tuple[int, int, int]:
        return parity, total - parity - (2 * count - 1), 1

    def spread(a: int, b: int) -> Activations:
        _, rows, columns, _ = phases[a][b].shape
        return jax.lax.pad(phases[a][b], zero, ((0, 0, 0), edges(a, rows, height), edges(b, columns, width), (0, 0, 0)))

    return sum((spread(a, b) for a in (0, 1) for b in (0, 1)), start=zero)


def conv3x3(x: Activations, kernel: Kernel, form: Winograd | None = None) -> Activations:
    """Correlate with a 3×3 kernel, zero padding 1; by the kernel's form for CPUs if that is given."""
    return conv(x, kernel, ((1, 1), (1, 1))) if form is None else winograd_conv(x, form)


def upsample_conv(x: Activations, kernel: Kernel, form: Upsampling | None = None) -> Activations:
    """Nearest ×2, then a 3×3 correlation with zero padding 1, computed at the low resolution.

    Each output phase sees only 2×2 inputs, so taps that fall on the same input are summed beforehand: 16 products per
    input pixel instead of 36, exactly the same function. By the kernel's form for CPUs, if that is given, it is nine.
    """
    if form is not None:
        return upsampling_conv(x, form)
    pair = {0: lambda k: jnp.stack([k[0], k[1] + k[2]]), 1: lambda k: jnp.stack([k[0] + k[1], k[2]])}
    pads = {0: (1, 0), 1: (0, 1)}
    phases = [
        [conv(x, pair[b](pair[a](kernel).swapaxes(0, 1)).swapaxes(0, 1), (pads[a], pads[b])) for b in (0, 1)]
        for a in (0, 1)
    ]
    return _interleave(phases)


def _transposed_conv(x: Activations, kernel: Kernel) -> list[list[Activations]]:
    """Correlation of the zero-interleaved input with a 3×3 kernel, padding 2, by parity of the result's row and column.

    Of an input (n, h, w, i) even phases are one longer, h + 1 or w + 1. One matrix product per tap: windows of 2×2
    would do the same, but XLA leaves those to a library on CPUs whose sums depend on the number of threads, and is no
    faster with them.
    """
    n, rows, columns, _ = x.shape
    flat, zero = x.reshape(-1, x.shape[-1]), jnp.zeros((), x.dtype)

    def moved(a: int, b: int, down: int, right: int) -> Activations:
        """The product with a tap; an even phase is one longer than the input, and the product is moved in it."""
        product = jnp.matmul(flat, kernel[a, b], precision=jax.lax.Precision.HIGHEST).reshape(n, rows, columns, -1)
        edges = [(step, 1 - step, 0) if tap != 1 else (0, 0, 0) for tap, step in ((a, down), (b, right))]
        return jax.lax.pad(product, zero, ((0, 0, 0), *edges, (0, 0, 0)))

    corners = moved(0, 0, 1, 1) + moved(0, 2, 1, 0) + moved(2, 0, 0, 1) + moved(2, 2, 0, 0)
    above_below = moved(0, 1, 1, 0) + moved(2, 1, 0, 0)
    left_right = moved(1, 0, 0, 1) + moved(1, 2, 0, 0)
    return [[corners, above_below], [left_right, moved(1, 1, 0, 0)]]


def _shifted(x: Activations, axis: int, count: int) -> list[Activations]:
    """The element before, the same and the next one along an axis, zeros around: `count` of each, from x[0] on."""
    edges = [(0, 0)] * 4
    edges[axis] = (1, max(0, count + 1 - x.shape[axis]))
    padded = jnp.pad(x, edges)
    return [jax.lax.slice_in_dim(padded, i, i + count, axis=axis) for i in range(3)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _smooth(even: Activations, odd: Activations, axis: int) -> Any:
    """Filter with [1, 3, 3, 1] / 4, padding 1, along an axis that is given and returned by its parities.

    An even one of length h + 1 and an odd one of length h give two of length h.
    """
    (_, here, after), (before, between, behind) = (_shifted(x, axis, odd.shape[axis]) for x in (even, odd))
    return (
        0.25 * before + 0.75 * here + 0.75 * between + 0.25 * after,
        0.25 * here + 0.75 * between + 0.75 * after + 0.25 * behind,
    )


def _smooth_backward(
    axis: int, _: None, cotangents: tuple[Activations, Activations]
) -> tuple[Activations, Activations]:
    count = cotangents[0].shape[axis]
    # Passes over the phases; the automatic transpose pads and adds once per tap.
    even, odd = (_shifted(x, axis, count + 1) for x in cotangents)
    to_even = 0.75 * even[1] + 0.25 * even[0] + 0.25 * odd[1] + 0.75 * odd[0]
    even, odd = (_shifted(x, axis, count) for x in cotangents)
    return to_even, 0.25 * even[2] + 0.75 * even[1] + 0.75 * odd[1] + 0.25 * odd[0]


_smooth.defvjp(lambda even, odd, axis: (_smooth(even, odd, axis), None), _smooth_backward)


def _smooth_phases(phases: list[list[Activations]]) -> list[tuple[Activations, Activations]]:
    """Filter rows and columns of what `_transposed_conv` gives, without weaving it first: a quarter of the memory."""
    left: Any = _smooth(phases[0][0], phases[1][0], 1)
    right: Any = _smooth(phases[0][1], phases[1][1], 1)
    rows: Any = [_smooth(*halves, 2) for halves in zip(left, right, strict=True)]
    return rows


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def fir(x: Activations, taps: tuple[float, ...], pad: int) -> Any:
    """Correlate rows and columns with `taps` as shifted sums, zero padding `pad` on every side."""
    for axis in (1, 2):
        padding = [(0, 0)] * 4
        padding[axis] = (pad, pad)
        padded = jnp.pad(x, padding)
        size = padded.shape[axis] - len(taps) + 1
        x = sum(
            (tap * jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i, tap in enumerate(taps)),
            start=jnp.zeros((), x.dtype),
        )
    return x


# The transpose, again as one pass of shifted sums; the automatic one pads and adds once per tap.
fir.defvjp(
    lambda x, taps, pad: (fir(x, taps, pad), None),
    lambda taps, pad, _, cotangent: (fir(cotangent, taps[::-1], len(taps) - 1 - pad),),
)


def blur_1_2_1(x: Activations) -> Activations:
    """Blur as StyleGAN1 does: [1, 2, 1]⊗[1, 2, 1] / 16, zero padding 1; same size."""
    return fir(x, (0.25, 0.5, 0.25), 1)


def upsample_image(x: Activations) -> Activations:
    """Upsample StyleGAN2's RGB skip ×2: zero-interleave and filter with [1, 3, 3, 1]⊗[1, 3, 3, 1] / 16."""
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (1, 1)
        padded = jnp.pad(x, pad)
        size = x.shape[axis]
        before, here, after = (jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(3))
        x = jnp.stack([0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after], axis=axis + 1)
        x = x.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 2 :])
    return x


@jax.custom_vjp
def pointwise(x: Float[Array, "... i"], matrix: Float[Array, "i o"]) -> Any:
    """Return x · matrix for few outputs, in float32 whatever the backend's default matrix precision."""
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)


def _pointwise_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    x, matrix = residuals
    axes = tuple(range(x.ndim - 1))
    grad_matrix = jnp.tensordot(x, cotangent, axes=(axes, axes), precision=jax.lax.Precision.HIGHEST)
    # Sums that fuse with what comes next, instead of a matrix product with very few terms.
    terms = [cotangent[..., i, None] * matrix[:, i] for i in range(matrix.shape[1])]
    return functools.reduce(jnp.add, terms), grad_matrix


pointwise.defvjp(lambda x, matrix: (pointwise(x, matrix), (x, matrix)), _pointwise_backward)


@jax.custom_vjp
def _scale_rounded(x: Activations, scale: Float[Array, "n c"]) -> Any:
    return x * scale[:, None, None, :].astype(x.dtype)


def _scale_rounded_backward(residuals: tuple[Activations, Array], cotangent: Activations) -> tuple[Activations, Array]:
    x, scale = residuals
    return _scale_rounded(cotangent, scale), jnp.sum(single(cotangent) * single(x), axis=(1, 2))


_scale_rounded.defvjp(lambda x, scale: (_scale_rounded(x, scale), (x, scale)), _scale_rounded_backward)


def _scale_channels(x: Activations, scale: Float[Array, "n c"]) -> Activations:
    """Return x times a scale of each channel of each image, in x's arithmetic."""
    if x.dtype == scale.dtype:
        return x * scale[:, None, None, :]
    # The scale's gradient has as many terms as there are pixels: of their sum in bfloat16 nothing would be left.
    result: Any = _scale_rounded(x, scale)
    return result


def _demodulate(y: Activations, kernel: Kernel, style: Float[Array, "n c_in"]) -> Activations:
    squares = jnp.sum(jnp.square(kernel.astype(style.dtype)), axis=(0, 1))
    scale = jax.lax.rsqrt(dense(jnp.square(style), squares, jnp.float32(1e-8)))
    return _scale_channels(y, scale)


def modulated_conv(
    x: Activations,
    kernel: Kernel,
    style: Float[Array, "n *c_out c_in"],
    *,
    demodulate: bool = True,
    form: Winograd | None = None,
) -> Activations:
    """StyleGAN2's modulated convolution, same size (Karras et al. 2020, section 2.2), as scale → shared conv → scale.

    `style` scales the input channels; demodulation divides each output channel by the norm of its modulated kernel.
    `kernel` is 1×1 or 3×3, then perhaps given in the form that CPUs prefer too. A style (n, c_out, c_in) is every
    filter's own.
    """
    if style.ndim == 3:
        return _filter_conv(x, kernel, style, upsample=False, demodulate=demodulate)
    scaled = _scale_channels(x, style)
    if kernel.shape[0] == 1:
        y = pointwise(scaled, kernel[0, 0].astype(x.dtype))
    else:
        y = conv3x3(scaled, kernel.astype(x.dtype), form)
    return _demodulate(y, kernel, style) if demodulate else y


def upsample_modulated_conv(x: Activations, kernel: Kernel, style: Float[Array, "n *c_out c_in"]) -> Activations:
    """As `modulated_conv`, fused with ×2 upsampling: transposed convolution, then the [1, 3, 3, 1] filter of gain 4.

    `kernel` is the correlation kernel over the zero-interleaved input (a PyTorch checkpoint's, flipped in space).
    """
    if style.ndim == 3:
        return fir(_filter_conv(x, kernel, style, upsample=True, demodulate=True), (0.25, 0.75, 0.75, 0.25), 1)
    phases = _transposed_conv(_scale_channels(x, style), kernel.astype(x.dtype))
    return _demodulate(weave(_smooth_phases(phases)), kernel, style)


def _filter_conv(
    x: Activations, kernel: Kernel, style: Float[Array, "n c_out c_in"], *, upsample: bool, demodulate: bool
) -> Activations:
    """The convolution of either function above, before its filter, with kernels that every image has of its own."""
    kernels = kernel.astype(style.dtype) * style.swapaxes(1, 2)[:, None, None]
    if demodulate:
        kernels *= jax.lax.rsqrt(jnp.sum(jnp.square(kernels), axis=(1, 2, 3), keepdims=True) + 1e-8)
    kernels = kernels.astype(x.dtype)
    size = kernel.shape[0]
    edge = (2, 2, 1) if upsample else (size // 2, size // 2, 0)
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), edge, edge, (0, 0, 0)))
    rows, columns = (length - size + 1 for length in padded.shape[1:3])
    # A matrix product per tap: grouped convolutions are many times slower on CPU.
    return sum(
        (
            jnp.einsum(
                "nhwi,nio->nhwo", padded[:, i : i + rows, j : j + columns], kernels[:, i, j], precision="highest"
            )
            for i in range(size)
            for j in range(size)
        ),
        start=jnp.zeros((), x.dtype),
    )


def split_rows(w: Float[Array, "n rows d"], filters: tuple[int, ...]) -> list[Float[Array, "n *o d"]]:
    """Return the rows of w (n, L, d) as one (n, d) per layer; a row per filter (n, sum(filters), d) as (n, o, d)."""
    if w.shape[1] == len(filters):
        return [w[:, layer] for layer in range(len(filters))]
    ends = [sum(filters[: layer + 1]) for layer in range(len(filters))]
    return [w[:, end - count : end] for end, count in zip(ends, filters, strict=True)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _instance_norm(x: Activations, scale: Float[Array, "n c"], bias: Float[Array, "n c"], eps: float) -> Any:
    return _instance_norm_forward(x, scale, bias, eps)[0]


def _instance_norm_forward(x: Activations, scale: Array, bias: Array, eps: float) -> tuple[Activations, Any]:
    x32 = single(x)
    mean = jnp.mean(x32, axis=(1, 2), keepdims=True)
    # In the original's order, so that it rounds alike; a single multiply-add would cancel digits that gradients need.
    centred = x32 - mean
    deviation = jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=(1, 2), keepdims=True) + eps)
    normalised = centred * deviation
    y = normalised * scale[:, None, None, :] + bias[:, None, None, :]
    return y.astype(x.dtype), (x, mean, deviation, scale)


def _instance_norm_backward(eps: float, residuals: Any, cotangent: Activations) -> tuple[Activations, Array, Array]:
    x, mean, deviation, scale = residuals
    pull = single(cotangent)
    normalised = (single(x) - mean) * deviation
    pixels = x.shape[1] * x.shape[2]
    along_bias = jnp.sum(pull, axis=(1, 2), keepdims=True)
    along_scale = jnp.sum(pull * normalised, axis=(1, 2), keepdims=True)
    rest = (pull - along_bias / pixels) - normalised * (along_scale / pixels)
    grad_x = scale[:, None, None, :] * deviation * rest
    return grad_x.astype(x.dtype), along_scale[:, 0, 0], along_bias[:, 0, 0]


# Two sums over the image and one pass; the automatic transpose keeps more and passes over it more often.
_instance_norm.defvjp(_instance_norm_forward, _instance_norm_backward)


def instance_norm(x: Activations, scale: Float[Array, "n c"], bias: Float[Array, "n c"], *, eps: float) -> Activations:
    """Normalise each channel of each image (biased variance), then · scale + bias."""
    result: Any = _instance_norm(x, scale, bias, eps)
    return result
