"""Named configurations, each with its source: `presets.NAME(**overrides)` returns a `SearchConfig`.

`bicubic`, `lanczos` and `nearest` search nothing, and return an `InterpolationConfig`. A new preset is a function with
`@preset` over it: the command line's choices, `PRESETS` and the names offered here are made from those.

Sources in short: PULSE, Menon et al. 2020. SRLS, "Super-resolution through StyleGAN regularized latent search",
Gheisari and Genovesio 2022. BRGM, "Bayesian image reconstruction using deep generative models", Marinescu et al. 2021.
CSGM, "Compressed sensing using generative models", Bora et al. 2017. II2S, "Improved StyleGAN embedding", Zhu et al.
2020. ILO, "Intermediate layer optimization", Daras et al. 2021.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pulse_jax.search.config import InterpolationConfig, Phase, SearchConfig, UpsamplingConfig
from pulse_jax.system.text import meant

# Of an `UpsamplingConfig` each; most of those who look a name up want a `SearchConfig`, and say so.
PRESETS: dict[str, Callable[..., Any]] = {}
"""Every preset by its name, in the order in which they stand here."""
SEARCHES: list[str] = []
"""The names of those that search."""
INTERPOLATIONS: list[str] = []
"""The names of those that enlarge and search nothing."""
PERCEPTUAL: list[str] = []
"""The names of those whose programs compare by LPIPS too, which `perceptual=True` asks for."""

DEFAULT = "fast"
"""The name of the one that is taken where none is named."""

_Preset = TypeVar("_Preset", bound=Callable[..., UpsamplingConfig])


def preset(function: _Preset) -> _Preset:
    """Register a function as the preset of its name; what it is annotated to return tells a search from an enlargement.

    The function takes any field of its config as a keyword and hands it on. Nothing is called here: a config's check
    needs JAX, and names must be known without.

    A keyword `perceptual` of its own says that the program's loss has an LPIPS term. It is left out by default, for it
    needs a VGG16 that does not come with this package (`Generator.perceptual`, `pulse-jax upsample --perceptual`), and
    inputs of 16×16 at least.
    """
    enlarges = get_type_hints(function).get("return") is InterpolationConfig
    PRESETS[function.__name__] = function
    (INTERPOLATIONS if enlarges else SEARCHES).append(function.__name__)
    if "perceptual" in inspect.signature(function).parameters:
        PERCEPTUAL.append(function.__name__)
    return function


def named(name: str) -> UpsamplingConfig:
    """Return the preset of a name, as it is by default.

    Raises:
        ValueError: There is none.
    """
    if name not in PRESETS:
        expected = f"the name of a preset ({', '.join(PRESETS)})"
        raise ValueError(f"config: expected {expected}, got {name!r:.80}{meant(name, PRESETS)}")
    return PRESETS[name]()


@preset
def fast(**overrides: Any) -> SearchConfig:
    """PULSE's problem with the fewest looks that were found: L-BFGS, begun near the input by a surrogate.

    The loss is PULSE's with less of GEOCROSS, the space and ε are `pulse`'s. Where the generator has no surrogate for
    the start (`pulse-jax fit-start`), every search begins at a uniform point, as those of `pulse` do. Its settings were
    chosen on tuning faces by `examples/benchmarks/optimizer_race.py`.
    """
    settings: dict[str, Any] = {
        "loss": "100*L2+0.02*GEOCROSS",
        "start": "surrogate",
        "method": "riemannian_lbfgs",
        "learning_rate": 0.15,
    }
    return SearchConfig(**(settings | overrides))


@preset
def pulse(**overrides: Any) -> SearchConfig:
    """The paper's method (PULSE, Menon et al. 2020, section 3): uniform start on √d·S^(d−1), ε 1e-3, early stop.

    A whitened row per layer, all from one random point, and Riemannian momentum on the normalised gradient: among what
    `examples/benchmarks/compare_optimizers.py` compares, this met ε on the most held-out faces while keeping the layers
    of one mind; from rows of their own they would not agree about the face.
    """
    return SearchConfig(**overrides)


@preset
def pulse_2020(**overrides: Any) -> SearchConfig:
    """The authors' program of 2020, default flags: projected Adam from a Gaussian start, trainable noise, ε 2e-3.

    All steps are taken, as there. What is delivered is the best image that is feasible as a PNG, else the one with the
    lowest total loss; the program saves the last iterate, and nothing when ε is missed.
    """
    settings: dict[str, Any] = {
        "eps": 2e-3,
        "steps": 100,
        "loss": "100*L2+0.05*GEOCROSS",
        "space": "w+",
        "start": "gaussian",
        "optimizer": "projected_adam",
        "learning_rate": 0.4,
        "schedule": "linear1cycledrop",
        "noise": "trainable",
        "trainable_noise_layers": 5,
        "zeroed_noise_layers": (17,),
        "stop": "never",
        "clamp_loss": True,
        "blur_at_factor_one": True,
    }
    return SearchConfig(**(settings | overrides))


def _inversion(settings: dict[str, Any], overrides: dict[str, Any]) -> SearchConfig:
    """What inversions of a generator share: plain w, unconstrained, from its mean, all steps taken."""
    common: dict[str, Any] = {
        "space": "w+",
        "coordinates": "plain",
        "geometry": "euclidean",
        "start": "mean",
        # On a flat space there is nothing to project to: plain Adam.
        "optimizer": "projected_adam",
        "stop": "never",
    }
    return SearchConfig(**(common | settings | overrides))


@preset
def srls(**overrides: Any) -> SearchConfig:
    """SRLS as its program ran for the paper's tables (sr_boost.py): MAE, the flow's density and norm, rows' distance.

    Adam 0.5 on W+ for 500 steps, from the mean of w; every further search of an image starts 0.4 of the way to a random
    style, as every copy does in the program's script for several solutions. It delivers the look with the lowest total
    loss, here the lowest among those that are feasible, if any is. FLOW is the density of w, the program prints that of
    standardised w: a constant apart. The program's flow is of one kind, `pulse-jax fit-prior --kind srls` or `pulse-jax
    convert --flow`; with another one, the embedded generator's included, this is the method with another prior.
    """
    return _rls("10*MAE+0.001*FLOW+0.002*NORM+0.1*CROSS", overrides)


@preset
def srls_robust(**overrides: Any) -> SearchConfig:
    """SRLS as its program for disturbed inputs has it (test_robustness.py), likely that of the paper's figures 3 and 6.

    `srls` with other weights, and MEAN_NORM for NORM.
    """
    return _rls("10*MAE+0.0005*FLOW+0.01*MEAN_NORM+0.1*CROSS", overrides)


@preset
def rls(**overrides: Any) -> SearchConfig:
    """SRLS as its authors' newest program has it (rls.py of 2025): heavier priors, each row of w in an L1 ball.

    The ball of norm √d lies around the start, which is the mean of w or, in an image's further searches, 0.2 of the way
    from there to a random style; the program's lies around the mean then too, and leaves its radius to be written in.
    """
    settings = {"geometry": "l1_ball", "start_ways": (0.2, 0.2)}
    return _rls("10*MAE+0.002*FLOW+0.004*NORM+0.5*CROSS", settings | overrides)


def _rls(loss: str, overrides: dict[str, Any]) -> SearchConfig:
    settings = {
        "loss": loss,
        "steps": 500,
        "learning_rate": 0.5,
        "schedule": "linear1cycledrop",
        "start_ways": (0.4, 0.4),
    }
    return _inversion(settings, overrides)


@preset
def rls_plus(**overrides: Any) -> SearchConfig:
    """RLS+ (Gheisari and Genovesio 2023; rls_plus.py): MAE alone, each row in an L1 ball of norm √d around its start.

    Adam 0.1 on W+ and the first nine noise inputs, which are kept normalised, for 200 steps. It is meant to go on from
    the result of `rls` or `srls` (`pulse-jax upsample --init`); by itself it starts at the mean of w. The program tunes
    the generator's weights too, with Adam 0.0001, and this does not: its pictures are the generator's own.
    """
    settings = {
        "loss": "1*MAE",
        "steps": 200,
        "learning_rate": 0.1,
        "schedule": "linear1cycledrop",
        "geometry": "l1_ball",
        "noise": "normalized_first",
        "trainable_noise_layers": 9,
    }
    return _inversion(settings, overrides)


@preset
def srls_paper(**overrides: Any) -> SearchConfig:
    """SRLS as its paper writes it (equation 4, section 3): λ_w 1e-4, λ_g 2e-4, λ_c 1e-2, the latter on squared sums.

    The L1 norm is taken as a mean, without which these weights would count for nothing; the rate is constant, since
    the paper speaks of no schedule.
    """
    settings = {
        "loss": "1*MAE+0.0001*FLOW+0.0002*NORM+0.01*CROSS_SQUARED",
        "steps": 500,
        "learning_rate": 0.5,
        "schedule": "fixed",
    }
    return _inversion(settings, overrides)


@preset
def brgm(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """BRGM: LPIPS, 0.001 · MSE on [0, 255], a Gaussian prior on w and colinear rows (its first program).

    github.com/razvanmarinescu/brgm, projector.py: start, weights and rates are the program's; LPIPS is there where
    `perceptual` is asked for. It takes 5,000 steps by default and calls less than 1,000 fast; here 1,000, over which
    the ramps of Adam 0.1 stretch. Its D is the mean of areas, here PULSE's bicubic filter; its noise is the network's
    own, here drawn; it delivers the last look, here the feasible one of lowest loss, or else that of lowest loss.
    """
    # 0.001 · 255².
    loss = "65.025*L2+100*WPRIOR+3*COLINEAR"
    settings = {
        "loss": f"1*LPIPS+{loss}" if perceptual else loss,
        # The program draws one number for all coordinates, from the seed 3.
        "mean_offset": 0.01 * 1.7886284734303186,
        "steps": 1000,
        "learning_rate": 0.1,
        "schedule": "ramps",
    }
    return _inversion(settings, overrides)


@preset
def brgm_2(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """BRGM's second program: the first one's pixels and prior, the rows' cosines as a sum, and features of VGG.

    github.com/razvanmarinescu/brgm-pytorch, bayesmap_recon.py: from the mean of w, Adam 0.1 for 501 steps, noise drawn
    once. Its main term, 10⁷ times the mean squared difference of the features behind LPIPS, is left out unless
    `perceptual` is asked for. Above a factor of 16 the program weighs the cosines by 1, which here `loss` has to say.
    Its D is bicubic without antialiasing, of 4×4 pixels whatever the factor, here PULSE's filter; it delivers the last
    look, here the feasible one of lowest loss, or else that of lowest loss.
    """
    loss = "65.025*L2+100*WPRIOR+0.1*COLINEAR_SUM"
    settings = {
        "loss": f"10000000*VGG+{loss}" if perceptual else loss,
        "steps": 501,
        "learning_rate": 0.1,
        "schedule": "fixed",
    }
    return _inversion(settings, overrides)


@preset
def csgm(**overrides: Any) -> SearchConfig:
    """CSGM (section 4): z from N(0, I), SQUARES plus 0.001 · ‖z‖², and Adam 0.1 for 500 steps.

    The paper's measurements are Gaussian and keep the squared error of the whole picture, which SQUARES is f times
    enlarged. The program's scales weigh super-resolution f² times more still, and its script for that has no prior and
    30 steps (celebA_superres.sh): `loss="16*SQUARES"` at f = 4. There D is the mean over blocks; the last look of the
    best search is delivered.
    """
    settings: dict[str, Any] = {
        "loss": "1*SQUARES+0.001*LATENT",
        "space": "z",
        "geometry": "euclidean",
        "start": "gaussian",
        "optimizer": "projected_adam",
        "learning_rate": 0.1,
        "schedule": "fixed",
        "steps": 500,
        "stop": "never",
    }
    return SearchConfig(**(settings | overrides))


@preset
def image2stylegan(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """Image2StyleGAN (Abdal et al. 2019): unconstrained W+ from the mean, MSE, Adam 0.01.

    The paper takes 5,000 steps, here 1,000; for its perceptual loss, of four layers of VGG16, `perceptual` takes LPIPS,
    of five of them with learnt weights.
    """
    loss = "1*LPIPS+1*L2" if perceptual else "1*L2"
    settings = {"loss": loss, "steps": 1000, "learning_rate": 0.01, "schedule": "fixed"}
    return _inversion(settings, overrides)


@preset
def pn(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """II2S: W+ with a penalty on v, which is w whitened with its full covariance (its P_N space).

    MSE of [−1, 1] images plus 0.001 · mean(v²), noise inputs drawn anew for every look, Adam 0.01 for 1,300 steps.
    Needs the covariance (`pulse-jax fit-prior --kind pca`). The program's LPIPS is left out unless `perceptual` (see
    `brgm`). The program inverts whole pictures, for which D is the identity, and brings those above 256 pixels to 256
    by a bicubic filter for LPIPS; LPIPS takes areas' means here.
    """
    loss = "4*L2+0.001*PRINCIPAL_MEAN"
    settings = {
        "loss": f"1*LPIPS+{loss}" if perceptual else loss,
        "steps": 1300,
        "learning_rate": 0.01,
        "schedule": "fixed",
        "noise": "redrawn",
    }
    return _inversion(settings, overrides)


@preset
def ilo(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """ILO: rounds of 50, 50, 25 and 25 steps that move the latent, then offsets to deeper and deeper blocks' outputs.

    MSE of [−1, 1] images plus 0.01 · GEOCROSS of whitened rows, which start at N(0, I), each by itself, and keep their
    norms, as 5, 7, 9 and 11 noise inputs do; Adam 0.1, in every round 5 % up and 75 % down. What belongs to blocks that
    have been passed rests. LPIPS is left out unless `perceptual` (see `brgm`). `feature_radius` bounds the offsets'
    mean magnitude, as the program's balls can, which are off by default there too. Two slips of the program are not
    repeated: from its second round on it leaves out the colours of the blocks that it has passed, and, since it
    slices another axis than it means, GEOCROSS.
    """
    loss = "4*L2+0.01*GEOCROSS_LATENT"
    settings: dict[str, Any] = {
        "loss": f"1*LPIPS+{loss}" if perceptual else loss,
        "feature_radius": None,
        "steps": 150,
        "start": "gaussian",
        "optimizer": "projected_adam",
        "learning_rate": 0.1,
        "schedule": "long_ramps",
        "phases": (
            Phase(share=1 / 3, noise_layers=5),
            Phase(share=1 / 3, block=0, noise_layers=7),
            Phase(share=1 / 6, block=1, noise_layers=9),
            Phase(share=1 / 6, block=2, noise_layers=11),
        ),
        "noise": "trainable",
        "trainable_noise_layers": 11,
        "stop": "never",
    }
    return SearchConfig(**(settings | overrides))


@preset
def robust(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """Robust inversion (Poirier-Ginter and Lalonde 2023): W, then W+, then W++, 150 steps each.

    One row per filter moves as a whole, then layer by layer, then by itself, along normalised gradients, with the rates
    0.08, 0.02 and 0.005. The loss is the program's: 0.1 · MAE of the images halved until they are at most 16 pixels
    wide and, with `perceptual` (see `brgm`), LPIPS over all larger scales; inputs of 16 pixels and below have no more
    than the former there too. The program takes means of areas for D, `degradation="area"`, by which a solution is then
    judged as well; PULSE's bicubic filter stays the task here. Noise inputs are drawn, where the program has the
    network's own.
    """
    loss = "0.1*COARSE_MAE"
    settings: dict[str, Any] = {
        "loss": f"1*MULTISCALE_LPIPS+{loss}" if perceptual else loss,
        "space": "w++",
        "steps": 450,
        "optimizer": "normalized_gradient",
        "learning_rate": 0.08,
        "schedule": "fixed",
        "phases": (
            Phase(share=1 / 3, tied="all"),
            Phase(share=1 / 3, rate=1 / 4, tied="layer"),
            Phase(share=1 / 3, rate=1 / 16),
        ),
    }
    return _inversion(settings, overrides)


@preset
def stylegan2_projector(*, perceptual: bool = False, **overrides: Any) -> SearchConfig:
    """The projector of StyleGAN2 (Karras et al. 2020, appendix D; github.com/NVlabs/stylegan2-ada-pytorch).

    One w from the mean with noise on it that dies away, rates that ramp up and down, all noise inputs searched, kept
    normalised and uncorrelated over scales; Adam 0.1, 1,000 steps. The program measures distance by LPIPS alone, which
    `perceptual` asks for; else the mean squared error stands for it, beside which the weight of NOISE is large: at the
    start of six tuning faces 9,400 against 0.01 to 0.08. That cost little: errors rose by 1 to 7 % over those with a
    weight of 1, PSNR stayed at 22.6 dB. The program projects whole pictures; its first look is at noise that is not yet
    normalised; it delivers the last w without noise on it, here the best look with what noise is left.
    """
    settings = {
        "loss": f"1*{'LPIPS' if perceptual else 'L2'}+100000*NOISE",
        "space": "w",
        "steps": 1000,
        "learning_rate": 0.1,
        "schedule": "ramps",
        "noise": "normalized",
        "latent_noise": 0.05,
    }
    return _inversion(settings, overrides)


@preset
def bicubic(**overrides: Any) -> InterpolationConfig:
    """Keys' cubic with a = −1/2 (Keys 1981), the smooth enlargement that super-resolution is commonly held against."""
    return InterpolationConfig(method="bicubic", **overrides)


@preset
def lanczos(**overrides: Any) -> InterpolationConfig:
    """A sinc under a window three lobes wide (Duchon 1979): sharper than bicubic, with more ringing."""
    return InterpolationConfig(method="lanczos", **overrides)


@preset
def nearest(**overrides: Any) -> InterpolationConfig:
    """Every pixel a square: what the input shows, and nothing else."""
    return InterpolationConfig(method="nearest", **overrides)


__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "DEFAULT",
    "INTERPOLATIONS",
    "PERCEPTUAL",
    "PRESETS",
    "SEARCHES",
    *sorted(["named", "preset", *PRESETS]),
]
