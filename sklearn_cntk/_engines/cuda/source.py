"""CUDA sources: ``kernels.cu`` behind the constants of one kernel."""

from functools import lru_cache
from importlib.resources import files

from ..dual_activations import arccos_coefficients

LANES = 32  # threads of a warp, which is what the columns of a plane must fit into
WARPS = 8  # of a block, at most


def kernel(name, plan, **constants):
    """Source and name of a kernel; `constants` are those that ``kernels.cu`` lists."""
    shape = plan.architecture.image_shape[:2]
    return source(name, shape, plan.architecture.radius, plan.dtype, **constants), name


@lru_cache(maxsize=64)
def source(name, shape, radius, dtype, **constants):
    """CUDA source of one kernel for images of `shape` (P, Q): constants, then ``kernels.cu``."""
    p, r = arccos_coefficients(dtype)
    constants = {
        f"KERNEL_{name.upper()}": 1,
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
    } | constants
    if dtype == "float64":
        constants["REAL_IS_DOUBLE"] = 1
    code = files(__package__).joinpath("kernels.cu").read_text(encoding="utf-8")
    return "".join(f"#define {name} {value}\n" for name, value in constants.items()) + code


def _literals(values, dtype):
    suffix = "f" if dtype == "float32" else ""
    return "{" + ", ".join(f"{value:.17e}{suffix}" for value in values) + "}"
