"""How each program names, shapes and scales a StyleGAN's arrays; one module per naming."""

from convert.accounting import Family
from convert.families import ada, basicsr, genforce, lernapparat, rosinality, rosinality_stylegan1, tensorflow

__all__ = ["FAMILIES"]

FAMILIES: tuple[Family, ...] = (
    tensorflow.STYLEGAN1,
    tensorflow.STYLEGAN2,
    ada.STYLEGAN2,
    rosinality.STYLEGAN2,
    lernapparat.STYLEGAN1,
    lernapparat.STYLEGAN1_HUANGZH13,
    rosinality_stylegan1.STYLEGAN1,
    genforce.STYLEGAN1,
    genforce.STYLEGAN2,
    basicsr.STYLEGAN2,
)
