"""Upper bounds on the CPU engine's speed from a machine's arithmetic, measured with its vectors."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numba
import numpy as np

from ..dual_activations import DEGREES
from .lanes import fma, lane_count, load, slide, sqrt, store, total, zero_window

# Simultaneous chains; more of them hide a longer latency, but spill if there are few registers and
# a vector needs several.
_CHAINS = (6, 10)


@lru_cache
def _compile_chains(n_chains, square_roots):
    """Compile a loop over `n_chains` independent chains of operations, kept in registers."""

    @numba.njit(nogil=True)
    def loop(data, n):
        a, b = load(data, 0), load(data, 16)
        window = zero_window(data, n_chains)
        for k in range(n_chains):  # different values, so that no two chains are merged
            window = slide(window, load(data, k))
        for _ in range(n):
            for _ in range(n_chains):  # unrolled: the window moves no registers
                oldest = window[0]
                window = slide(window, sqrt(oldest) if square_roots else fma(oldest, b, a))
        store(data, 32, total(window))

    return loop


def _operation_rate(square_roots, dtype, n_threads, seconds):
    """Return operations per second on `n_threads` together, with the better number of chains."""
    data = [np.linspace(0.25, 0.75, 64).astype(dtype) for _ in range(n_threads)]
    rates = []
    with ThreadPoolExecutor(n_threads) as threads:
        for n_chains in _CHAINS:
            loop = _compile_chains(n_chains, square_roots)
            loop(data[0], 10)
            n = 50_000
            while True:
                start = time.perf_counter()
                list(threads.map(loop, data, [n] * n_threads))
                elapsed = time.perf_counter() - start
                if elapsed > seconds:
                    break
                n = int(n * max(2, 1.5 * seconds / elapsed))
            rates.append(n_chains * n * lane_count(dtype) * n_threads / elapsed)
    return max(rates)


def multiplications(dtype):
    """Count multiplications and FMAs per element-layer of `planes.sweep` with one Θ.

    λ takes two (times both 1/s), the polynomials p and r their degrees, t = v p one, κ₁ two
    (v u, and the FMA that joins r and max(λ, 0)), K two (times both s) and U one.  Additions,
    comparisons, loads and stores are not counted, as if they were free.
    """
    return 2 + sum(DEGREES[dtype]) + 1 + 2 + 2 + 1


def arithmetic_bound(dtype, n_threads, seconds):
    """Return element-layers per second if only multiplications, or only square roots, took time.

    The smaller one is the bound.  On processors whose square roots share a pipeline with
    multiplications, the two times add up, and the true bound is lower.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    n_threads : int
        Cores to measure together.
    seconds : float
        Shortest time of a measurement.

    Returns
    -------
    dict of float
        "fma" and "sqrt".
    """
    fma_rate = _operation_rate(False, dtype, n_threads, seconds)
    sqrt_rate = _operation_rate(True, dtype, n_threads, seconds)
    return {"fma": fma_rate / multiplications(dtype), "sqrt": sqrt_rate}
