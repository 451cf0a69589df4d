"""Numbers that the papers print, and the settings that they are of.

PULSE: Menon et al., "PULSE: Self-supervised photo upsampling via latent space exploration of generative models", CVPR
2020. SRLS: Gheisari and Genovesio, "Super-resolution through StyleGAN regularized latent search", 2022.
"""

__all__ = [
    "DISTURBANCES",
    "PULSE_DATA",
    "PULSE_EPS",
    "PULSE_NIQE",
    "PULSE_OPINIONS",
    "PULSE_STUDY",
    "SRLS_DATA",
    "SRLS_NORMS",
    "SRLS_TABLE",
    "SRLS_WEIGHTS",
]

PULSE_DATA = "StyleGAN of FFHQ, 1024×1024; photographs of CelebA-HQ"
SRLS_DATA = "StyleGAN2 of FFHQ, 1024×1024; photographs of CelebA-HQ"

PULSE_OPINIONS = {"HR": 3.74, "Nearest": 1.01, "Bicubic": 1.34, "FSRNet": 2.77, "FSRGAN": 2.92, "PULSE": 3.60}
"""Mean opinion scores from 1 to 5, 8×, to 128×128 (PULSE, table 1)."""
PULSE_STUDY = {"raters": 40, "pictures": 240, "examples": 20}
"""How they were found: people, pictures that each of them rated, examples of a 1, and of a 5, before (section 4.3)."""
PULSE_NIQE = {"HR": 3.90, "Nearest": 12.48, "Bicubic": 7.06, "PULSE": 2.47}
"""NIQE, lower is better, 64×, from 16×16 to 1024×1024 (PULSE, table 2)."""
PULSE_EPS = 1e-3
"""All pictures of both tables were within it."""

SRLS_TABLE = {
    "Bicubic": {"FID": 51.38, "NIQE": 14.17, "PSNR": 17.62, "SSIM": 0.62},
    "PULSE": {"FID": 5.15, "NIQE": 5.09, "PSNR": 19.55, "SSIM": 0.58},
    "BRGM": {"FID": 5.41, "NIQE": 4.98, "PSNR": 15.11, "SSIM": 0.52},
    "Ours": {"FID": 4.18, "NIQE": 3.93, "PSNR": 19.23, "SSIM": 0.57},
    "GT": {"NIQE": 3.75},
}
"""64×; "Ours" is SRLS, "GT" are the truths (SRLS, table 1)."""
SRLS_NORMS = {"samples": 5000, "dimensions": 512}
"""What the histograms of figure 2 are of (SRLS, section 3)."""
SRLS_WEIGHTS = {"λ_w": 0.0001, "λ_c": 0.01, "λ_g": 0.0002}
"""Weights of the flow's density, of the rows' distance and of the norm (SRLS, section 3)."""

DISTURBANCES = {
    "bicubic|gaussian(25)": "noise of deviation 25",
    "bicubic|gaussian(50)": "noise of deviation 50",
    "motion(100)|bicubic": "motion of 100, then downscaled",
    "bicubic|salt_pepper(0.05)": "salt and pepper in .05",
}
"""What became of inputs in PULSE's figure 6, in this package's language; motion is of pictures of 1024×1024, and in
smaller ones as much shorter. SRLS names no more than the motion (its figure 6), and is given the same here."""
