"""CUDA sources: the constants of a kernel, followed by its files."""

from functools import lru_cache
from importlib.resources import files

from .. import dual_networks, network_arrays, network_plan
from ..dual_activations import arccos_coefficients
from .variants import USUAL

LANES = 32  # threads of a warp, into which the columns of a plane must fit
WARPS = 8  # largest number per block

# The files of each kernel, in addition to the one with its name.
_COMMON = ("threads", "arithmetic", "common", "entry")
_OF_NETWORKS = ("threads", "arithmetic", "network_entry")
_PARTS = {
    "tables": _COMMON,
    "planes": _COMMON,
    "trace": (*_COMMON, "columns"),
    "sweep": (*_COMMON, "sums", "copies", "columns"),
    "sweep_pairs": (*_COMMON, "sums", "copies", "pairs_of_columns"),
    "network": _OF_NETWORKS,
    "network_sweep": _OF_NETWORKS,
    "network_variances": _OF_NETWORKS,
    "network_tables": _OF_NETWORKS,
}
# Kernels whose file has another name.
_FILES = {"network_variances": "network"}


def kernel(name, plan, **constants):
    """Return source and name of a kernel for plain networks, with `constants` of ``common.cu``."""
    shape = plan.architecture.image_shape[:2]
    return source(name, shape, plan.architecture.radius, plan.dtype, **constants), name


@lru_cache(maxsize=64)
def source(name, shape, radius, dtype, **constants):
    """Return the CUDA source of a kernel for plain networks and images of `shape` (P, Q)."""
    return _source(
        name,
        dtype,
        ROWS=shape[0],
        COLUMNS=shape[1],
        RADIUS=radius,
        **{"SUMS_K": 1, "WEIGHTED": 0, "STAGED": 0, **USUAL.constants} | constants,
    )


@lru_cache(maxsize=64)
def network_kernel(name, dtype, **constants):
    """Return source and name of a kernel for networks of any layers, see ``network.cu``."""
    q = dual_networks.arcsin_coefficients(dtype)
    numbers = {**_integers(network_arrays), **_integers(network_plan), **_integers(dual_networks)}
    text = _source(
        name,
        dtype,
        **numbers,
        Q_TERMS=len(q),
        Q_COEFFICIENTS=number_literals(q, dtype),
        E_TERMS=dual_networks.E_TERMS[dtype == "float64"],
        **{"GROUP": 1, "RECORD": int(name == "network_variances")} | constants,
    )
    return text, name


def _source(name, dtype, **constants):
    """Return the constants, followed by the files of a kernel."""
    p, r = arccos_coefficients(dtype)
    constants = {
        "REAL": {"float32": "float", "float64": "double"}[dtype],
        "P_TERMS": len(p),
        "P_COEFFICIENTS": number_literals(p, dtype),
        "R_TERMS": len(r),
        "R_COEFFICIENTS": number_literals(r, dtype),
        "N_THETA": 0,
        "WARPS": WARPS,
        "MIN_BLOCKS": 1,
    } | constants
    if dtype == "float64":
        constants["REAL_IS_DOUBLE"] = 1
    defines = [f"#define {name} {value}\n" for name, value in constants.items()]
    return "".join(defines) + "".join(map(_read, (*_PARTS[name], _FILES.get(name, name))))


def _integers(module):
    """Return the integer constants of a module by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }


def _read(name):
    return "\n" + files(__package__).joinpath(f"{name}.cu").read_text(encoding="utf-8")


def array_literal(values):
    """Return the initialiser of an array."""
    return "{" + ", ".join(map(str, values)) + "}"


def number_literals(values, dtype):
    """Return the initialiser of an array of numbers in a given precision."""
    suffix = "f" if dtype == "float32" else ""
    return array_literal(f"{value:.17e}{suffix}" for value in values)
