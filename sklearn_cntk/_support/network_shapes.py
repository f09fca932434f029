"""Networks for images of a shape: the shape after every layer, a table, and mirror symmetry."""

from __future__ import annotations

import math
from typing import NamedTuple

from .images import check_image_shape
from .layers import AvgPool, Conv, Residual, within


class LayerRow(NamedTuple):
    """A row of the table that `Network.summary` prints.

    Attributes
    ----------
    layer : str
        The layer; those of a residual block are indented.
    output_shape : tuple (height, width)
    element_layers : int
        Work per pair of images: covariance entries of a convolution's output.
    """

    layer: str
    output_shape: tuple[int, int]
    element_layers: int


class Summary(tuple[LayerRow, ...]):
    """The layers of a network for images of a shape; `print` shows them as a table."""

    @property
    def element_layers(self) -> int:
        """Work per pair of images, with GAP."""
        return sum(row.element_layers for row in self)

    def __repr__(self):
        rows = [("layer", "output", "element-layers")]
        rows += [
            (row.layer, "×".join(map(str, row.output_shape)), f"{row.element_layers:,}")
            for row in self
        ]
        rows.append(("in all", "", f"{self.element_layers:,}"))
        first, second, third = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{a:<{first}}  {b:>{second}}  {c:>{third}}" for a, b, c in rows)

    __str__ = __repr__


def shapes(network, image_shape):
    """See `Network.shapes`."""
    shape = image_shape[0], image_shape[1]
    found = [shape]
    circular = any(
        isinstance(one, Conv) and one.padding == "circular"
        for layer in network.layers
        for one in within(layer)
    )
    rows = ""
    if shape == (1, 1):
        rows = " Rows of 2-D input are images of one pixel, unless image_shape gives their shape."
    for number, layer in enumerate(network.layers, start=1):
        name = f"layer {number}, {layer!r},"
        if isinstance(layer, AvgPool) and shape == (1, 1):
            raise ValueError(
                f"{name} has nothing to pool: images of shape {tuple(image_shape)} are one "
                f"pixel there. Use fewer pools, a smaller depth, or larger images.{rows}"
            )
        after = layer.output_shape(shape)
        if min(after) < 1:
            raise ValueError(
                f"{name} leaves nothing of images of shape {tuple(image_shape)}, which are "
                f"{shape[0]}×{shape[1]} before it. Use smaller pools, a smaller depth, or "
                "larger images."
            )
        if circular and isinstance(layer, Residual) and not layer.steps_divide(shape):
            raise ValueError(
                f"{name} has strides that do not divide a map of {shape[0]}×{shape[1]}, in a "
                "network with circular convolutions: use images whose sides they divide, or "
                "padding='zeros'."
            )
        shape = after
        found.append(shape)
    return found


def summary(network, image_shape):
    """See `Network.summary`."""
    shape = check_image_shape(image_shape)
    if shape is None:
        raise ValueError("image_shape=None: give the shape of the images, such as (32, 32).")
    found = shapes(network, shape)
    rows: list[LayerRow] = []
    for layer, before, after in zip(network.layers, found, found[1:], strict=False):
        rows.append(_row(layer, repr(layer), after))
        if not isinstance(layer, Residual):
            continue
        rows[-1] = rows[-1]._replace(layer="Residual")
        for name, branch in layer.branches:
            inside = before
            for one in branch:
                inside = one.output_shape(inside)
                rows.append(_row(one, f"  {name}: {one!r}", inside))
    return Summary(rows)


def _row(layer, text, shape):
    work = math.prod(shape) ** 2 if isinstance(layer, Conv) else 0
    return LayerRow(text, shape, work)


def check_mirror_symmetry(network, image_shape):
    """See `Network.check_mirror_symmetry`."""
    found = shapes(network, image_shape)
    for number, (top, shape) in enumerate(zip(network.layers, found, strict=False), start=1):
        if isinstance(top, AvgPool) and shape[1] % top.windows(shape)[1]:
            _refuse_flip(number, top, shape)
        for branch in (
            [branch for _, branch in top.branches] if isinstance(top, Residual) else [(top,)]
        ):
            inside = shape
            for layer in branch:
                if isinstance(layer, Conv):
                    step, q = layer.steps[1], layer.sides[1]
                    added = (-(-inside[1] // step) - 1) * step + q - inside[1]
                    if added < 0 or added % 2:
                        _refuse_flip(number, layer, inside)
                inside = layer.output_shape(inside)


def _refuse_flip(number, layer, shape):
    raise ValueError(
        f"flip=True needs a network that treats left and right alike, and layer {number}, "
        f"{layer!r}, does not with {shape[1]} columns before it. Use flip=False and add the "
        "mirror images to the training set, or change the width of the images."
    )
