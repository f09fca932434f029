"""CUDA sources: the files of a kernel behind its constants."""

from functools import lru_cache
from importlib.resources import files

from ..dual_activations import arccos_coefficients
from .variants import USUAL

LANES = 32  # threads of a warp, which is what the columns of a plane must fit into
WARPS = 8  # of a block, at most

# What each kernel is made of, beside the file of its name.
_PARTS = {
    "tables": (),
    "planes": (),
    "trace": ("columns",),
    "sweep": ("sums", "copies", "columns"),
    "sweep_pairs": ("sums", "copies", "pairs_of_columns"),
}


def kernel(name, plan, **constants):
    """Source and name of a kernel; `constants` are those that ``common.cu`` lists."""
    shape = plan.architecture.image_shape[:2]
    return source(name, shape, plan.architecture.radius, plan.dtype, **constants), name


@lru_cache(maxsize=64)
def source(name, shape, radius, dtype, **constants):
    """CUDA source of one kernel for images of `shape` (P, Q): constants, then its files."""
    p, r = arccos_coefficients(dtype)
    constants = {
        "REAL": {"float32": "float", "float64": "double"}[dtype],
        "ROWS": shape[0],
        "COLUMNS": shape[1],
        "RADIUS": radius,
        "P_TERMS": len(p),
        "P_COEFFICIENTS": _literals(p, dtype),
        "R_TERMS": len(r),
        "R_COEFFICIENTS": _literals(r, dtype),
        "N_THETA": 0,
        "SUMS_K": 1,
        "WEIGHTED": 0,
        "WARPS": WARPS,
        "MIN_BLOCKS": 1,
        "STAGED": 0,
        **USUAL.constants,
    } | constants
    if dtype == "float64":
        constants["REAL_IS_DOUBLE"] = 1
    defines = [f"#define {name} {value}\n" for name, value in constants.items()]
    return "".join(defines) + "".join(map(_read, ("common", "entry", *_PARTS[name], name)))


def _read(name):
    return "\n" + files(__package__).joinpath(f"{name}.cu").read_text(encoding="utf-8")


def _literals(values, dtype):
    suffix = "f" if dtype == "float32" else ""
    return "{" + ", ".join(f"{value:.17e}{suffix}" for value in values) + "}"
