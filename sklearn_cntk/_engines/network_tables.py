"""Tables of each image's variances for the operations of a network, compiled."""

import numpy as np

from .compile import compile_lazily
from .network_plan import ERF, GELU, NORM


@compile_lazily
def fill_entry(kind, normalised, variance, unit, made, smallest, tables, at, step):
    """Fill the tables of a pixel, `step` elements apart, from its variance v = s².

    An engine keeps Σ divided by the units m and m' of the two images, and the output of an
    operation divided by other units n and n' (`made`).  λ is Σ times both images' first tables.

    * `RELU` and `EXP`: m/s and s/n; K is κ times both second tables;
    * `ERF`: m·sqrt(2/(1 + 2v));
    * `GELU`: m·t, v t² and 1/t with t = 1/sqrt(1 + v);
    * `NORM`: m/s.

    If `normalised`, a layer normalisation comes first: m/s, and 1/n where s is not 0.
    """
    if kind == ERF:
        tables[at] = unit * np.sqrt(2.0 / (1.0 + 2.0 * variance))
        return
    if kind == GELU:
        t = 1.0 / np.sqrt(1.0 + variance)
        tables[at] = unit * t
        tables[at + step] = variance / (1.0 + variance)
        tables[at + 2 * step] = 1.0 / t
        return
    s = np.sqrt(variance)
    visible = s > smallest * (unit if normalised or kind == NORM else made)
    tables[at] = unit / s if visible else 0.0
    if kind != NORM:
        tables[at + step] = (1.0 if normalised else s) / made if visible else 0.0


@compile_lazily
def fill_tables(kind, normalised, variances, units, made, smallest, tables):
    """Fill `tables` (images, tables · pixels) from `variances` (images, pixels) and units."""
    n_images, n_pixels = variances.shape
    for image in range(n_images):
        own, unit, other = tables[image], units[image], made[image]
        for pixel in range(n_pixels):
            variance = variances[image, pixel]
            fill_entry(kind, normalised, variance, unit, other, smallest, own, pixel, n_pixels)
