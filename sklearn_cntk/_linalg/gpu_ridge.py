"""Kernel ridge regression on a GPU: the Gram matrix is assembled, factored and solved there.

CuPy's Cholesky factorisation copies the matrix and uses 32-bit indices, like the older cuSOLVER
interface that it calls; the 64-bit one (cusolverDnXpotrf) is not among CuPy's bindings, as of
CuPy 14.  So the matrix is split into panels of columns, each of which is small enough for cuBLAS,
and factored in place by the right-looking blocked algorithm (Golub and Van Loan, "Matrix
Computations", 4th ed., section 4.2.9).  Only the lower triangle is kept: 50 000 rows take 10.4 GB.
"""

from contextlib import contextmanager

import numpy as np
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import LinearOperator, onenormest

from .._engines import select_engine
from .._engines.cuda.devices import check_memory_is_out
from .left_out import left_out_predictions
from .ridge import mean_diagonal, not_positive_definite, warn_if_nearly_singular

# Columns of a panel: wide enough for products at full speed, narrow enough that the square blocks
# on the diagonal, which are factored separately, cost little.
PANEL = 2048


def roomy_device(device, n, verbose=0):
    """Return the GPU to solve a system of n rows on, or None if the host has to solve it.

    Parameters
    ----------
    device : str
        The kernel's parameter: the device that it computes on.
    n : int
    verbose : int
        Whether to print why the host solves the system although the kernel runs on GPUs.
    """
    devices = select_engine(device).devices
    if not devices:
        return None
    try:
        for candidate in devices:
            candidate.load_linear_algebra()
    except ImportError as error:
        reason = (
            f"cuBLAS or cuSOLVER is missing ({error}): pip install 'sklearn-cntk[cuda12x]' (CUDA "
            "12) or 'sklearn-cntk[cuda13x]' (CUDA 13)"
        )
    else:
        free, best = max(((d.free_bytes(), -k) for k, d in enumerate(devices)))
        need = needed_bytes(n)
        if need <= 0.9 * free:
            return devices[-best]
        reason = f"{need / 2**30:.2g} GiB are needed, {free / 2**30:.2g} GiB of a GPU are free"
    if verbose:
        print(f"The linear system of {n} rows is solved on the host: {reason}.")
    return None


def needed_bytes(n, panel=PANEL):
    """Return the memory for a system of n rows: its panels, and room for products of them."""
    panels = sum((n - start) * min(panel, n - start) for start in range(0, n, panel))
    return 8 * (panels + 2 * n * min(panel, n))


def ridge_dual_on_device(
    device, job, images, targets, alpha, sample_weight=None, *, return_left_out=False, panel=PANEL
):
    """Return dual coefficients as `ridge_dual` does, by a GPU that holds the Gram matrix.

    Parameters
    ----------
    device : devices.CupyDevice
    job : Job
        A job with one readout.  Its Gram matrix is sent to the GPU tile by tile, and the host never
        holds it, unless the job has a store.
    images : ndarray (n, P, Q, C)
    targets, alpha, sample_weight, return_left_out
        As in `ridge_dual`.
    panel : int
        Columns of the matrix's panels.

    Returns
    -------
    As in `ridge_dual`.

    Raises
    ------
    LinAlgError
        As in `ridge_dual`.
    MemoryError
        The GPU ran out of memory in spite of the check before.

    Warns
    -----
    LinAlgWarning
        As in `ridge_dual`.
    """
    if job.store is not None:
        (K,) = job.gram(images)
        return solve_on_device(
            device, K, targets, alpha, sample_weight, return_left_out=return_left_out, panel=panel
        )
    with _explained_errors(device, len(images)):
        matrix = DeviceMatrix(device, len(images), panel)
        for tile in job.triangle(images):
            matrix.add(tile.i, tile.j, tile.values[0])
        return _solve(matrix, targets, alpha, sample_weight, return_left_out)


def solve_on_device(
    device, K, targets, alpha, sample_weight=None, *, return_left_out=False, panel=PANEL
):
    """Run `ridge_dual` on a GPU, for a matrix on the host, which is not overwritten."""
    with _explained_errors(device, len(K)):
        matrix = DeviceMatrix(device, len(K), panel)
        for start in range(0, len(K), panel):
            columns = slice(start, start + panel)
            for top in range(0, start + 1, panel):
                rows = slice(top, top + panel)
                matrix.add(rows, columns, np.triu(K[rows, columns], top - start))
        return _solve(matrix, targets, alpha, sample_weight, return_left_out)


@contextmanager
def _explained_errors(device, n):
    try:
        yield
    except (device.OutOfMemoryError, *device.FailedError) as error:
        check_memory_is_out(device, error)
        raise MemoryError(
            f"{device.label} ran out of memory for the linear system of {n} rows "
            f"({error}): use solver='cg', or device='cpu'."
        ) from error


def _solve(matrix, targets, alpha, sample_weight, return_left_out=False):
    """Solve (K + λ W⁻¹) A = targets, see `ridge_dual`; K becomes its factor."""
    diagonal = matrix.diagonal()
    mean = mean_diagonal(diagonal, sample_weight)
    root = 1.0
    if sample_weight is not None:
        root = np.sqrt(sample_weight)
        matrix.scale(root)
    ridge = alpha * (mean if mean > 0 else 1.0)
    matrix.add_to_diagonal(ridge)
    norm = matrix.norm()
    try:
        matrix.factor()
    except LinAlgError as error:
        raise not_positive_definite(alpha) from error
    inverse = LinearOperator((matrix.n, matrix.n), matrix.solve, matrix.solve, dtype=np.float64)
    # The same estimate as LAPACK's dpocon on the host; with t=1 it draws no random numbers.
    inverse_norm = onenormest(inverse, t=1) if matrix.n > 1 else abs(matrix.solve(np.ones(1)))[0]
    warn_if_nearly_singular(1 / (norm * inverse_norm), alpha, stacklevel=6)
    solution = matrix.solve((targets.T * root).T)
    dual = (solution.T * root).T
    if not return_left_out:
        return dual
    diagonal = matrix.inverse_diagonal()
    return dual, left_out_predictions(solution, diagonal, targets, ridge, sample_weight)


class DeviceMatrix:
    """A symmetric float64 matrix (n, n) in the memory of a GPU, initially 0.

    Panel k holds the columns from ``k * panel`` on, for the rows from there on: (rows, columns) in
    C order, so that any of its rows are contiguous.  Entries above the diagonal are 0 at first, and
    undefined once the matrix is factored.

    Parameters
    ----------
    device : devices.CupyDevice
        May compute tiles at the same time: the matrix has its own stream.
    n : int
    panel : int
        Columns of a panel.
    """

    def __init__(self, device, n, panel=PANEL):
        self.device = device.beside()
        self.n = n
        with self.device:
            self.panels = [
                (start, device.zeros((n - start, min(panel, n - start))))
                for start in range(0, n, panel)
            ]

    def add(self, rows, columns, values):
        """Add `values` of slices of rows and columns in the upper triangle; 0 below it."""
        with self.device:
            uploaded = self.device.upload(values)
            for start, panel in self.panels:
                # A row of the upper triangle is a column of the lower one.
                first, last = max(rows.start, start), min(rows.stop, start + panel.shape[1])
                top, end = max(columns.start, start), min(columns.stop, self.n)
                if first < last and top < end:
                    part = uploaded[
                        first - rows.start : last - rows.start,
                        top - columns.start : end - columns.start,
                    ]
                    target = panel[top - start : end - start, first - start : last - start]
                    target += part.T  # transposing on the host would take longer than the upload

    def diagonal(self):
        """Return the diagonal, on the host."""
        with self.device:
            return np.concatenate([self.device.download(d) for d in self._diagonals()])

    def add_to_diagonal(self, value):
        """Add a number to each entry of the diagonal."""
        with self.device:
            for diagonal in self._diagonals():
                diagonal += value

    def scale(self, factors):
        """Multiply rows and columns by `factors` (n,)."""
        with self.device:
            factors = self.device.upload(factors)
            for start, panel in self.panels:
                panel *= factors[start:, None]
                panel *= factors[start : start + panel.shape[1]]

    def norm(self):
        """Return the largest sum of the absolute values of a column."""
        sums = -abs(self.diagonal())  # the loop counts it twice
        with self.device:
            for start, panel in self.panels:
                sizes = abs(panel)
                sums[start : start + panel.shape[1]] += self.device.download(sizes.sum(axis=0))
                sums[start:] += self.device.download(sizes.sum(axis=1))
        return sums.max()

    def factor(self):
        """Replace the matrix by its Cholesky factor; raise LinAlgError if there is none."""
        device = self.device
        with device:
            for k, (start, panel) in enumerate(self.panels):
                width = panel.shape[1]
                corner, below = panel[:width], panel[width:]
                corner[...] = device.cholesky(corner)
                pivots = device.download(corner.reshape(-1)[:: width + 1])
                if not (pivots > 0).all():  # NaN, which the factorisation may not detect
                    raise LinAlgError("a pivot is not a positive number")
                if len(below):
                    # L₂₁ = A₂₁ L₁₁⁻ᵀ, transposed to Fortran order, so that cuBLAS solves in place.
                    device.solve_triangular(corner, below.T)
                for later_start, later in self.panels[k + 1 :]:
                    rows = panel[later_start - start :]
                    later -= rows @ rows[: later.shape[1]].T

    def solve(self, b):
        """Solve L Lᵀ x = b, once the matrix is factored; x, (n,) or (n, k), is on the host."""
        device = self.device
        with device:
            x = device.upload(np.reshape(b, (self.n, -1)).astype(np.float64))
            for start, panel in self.panels:
                width = panel.shape[1]
                at, below = x[start : start + width], x[start + width :]
                device.solve_triangular(panel[:width], at)
                if len(below):
                    below -= panel[width:] @ at
            for start, panel in reversed(self.panels):
                width = panel.shape[1]
                at, below = x[start : start + width], x[start + width :]
                if len(below):
                    at -= panel[width:].T @ below
                device.solve_triangular(panel[:width], at, transposed=True)
            return device.download(x).reshape(np.shape(b))

    def inverse_diagonal(self):
        """Return the diagonal of the inverse, on the host, once the matrix is factored."""
        device, parts = self.device, []
        with device:
            for k, (first, panel) in enumerate(self.panels):
                width = panel.shape[1]
                x = device.zeros((self.n - first, width))  # columns of L⁻¹, 0 above row `first`
                unit = x.reshape(-1)[: width * width : width + 1]
                unit += 1.0
                for start, later in self.panels[k:]:
                    middle = start - first + later.shape[1]
                    at, below = x[start - first : middle], x[middle:]
                    device.solve_triangular(later[: later.shape[1]], at)
                    if len(below):
                        below -= later[later.shape[1] :] @ at
                x *= x
                parts.append(device.download(x.sum(axis=0)))
        return np.concatenate(parts)

    def _diagonals(self):
        """Yield views of the diagonal, one per panel."""
        for _, panel in self.panels:
            width = panel.shape[1]
            yield panel.reshape(-1)[: width * width : width + 1]
