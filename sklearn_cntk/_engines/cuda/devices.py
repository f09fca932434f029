"""CUDA devices through CuPy, which is imported only when a GPU is requested or searched for."""

import re
import warnings
from contextlib import ExitStack
from functools import lru_cache
from importlib.util import find_spec
from threading import RLock

import numpy as np

# These options affect float32 only: denormals are far below the smallest values in tables, and a
# square root may be wrong in its last place.
_OPTIONS = ("-std=c++14", "-ftz=true", "-prec-sqrt=false")
_NO_DEVICE = 100  # cudaErrorNoDevice: there is a driver, but no GPU, or none is visible
# Shared memory that a kernel gets by default.
_USUAL_SHARED_BYTES = 48 * 1024


class CupyDevice:
    """One GPU: memory, one stream, and kernels that are compiled once.

    A context manager: calls inside run on this device, in one thread at a time.
    """

    def __init__(self, index):
        import cupy

        self._cupy = cupy
        self._index = index
        self._device = cupy.cuda.Device(index)
        self.label = _label(cupy, index)
        self.architecture = f"sm_{self._device.compute_capability}"
        properties = cupy.cuda.runtime.getDeviceProperties(index)
        self.shared_bytes = int(
            properties.get("sharedMemPerBlockOptin") or properties["sharedMemPerBlock"]
        )
        self.OutOfMemoryError = cupy.cuda.memory.OutOfMemoryError
        self.CompileError = cupy.cuda.compiler.CompileException
        runtime, driver = cupy.cuda.runtime, cupy.cuda.driver
        self.FailedError = runtime.CUDARuntimeError, driver.CUDADriverError
        with self._device:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._lock = RLock()
        self._functions = {}
        self._beside = None

    def __enter__(self):
        self._lock.acquire()
        with ExitStack() as undone:  # a lost device raises here, and must not keep the lock
            undone.callback(self._lock.release)
            self._device.__enter__()
            undone.push(self._device)
            self._stream.__enter__()
            undone.pop_all()
        return self

    def __exit__(self, *error):
        with ExitStack() as left:
            left.callback(self._lock.release)
            left.push(self._device)
            self._stream.__exit__(*error)

    def beside(self):
        """Return the same GPU with its own stream and lock, so that neither waits for the other.

        All callers share one, since CuPy keeps memory that a stream has freed for that stream.
        """
        if self._beside is None:
            self._beside = type(self)(self._index)
        return self._beside

    def upload(self, array):
        """Return a copy of `array` on the device."""
        return self._cupy.asarray(np.ascontiguousarray(array))

    def empty(self, shape, dtype):
        """Return an uninitialised device array."""
        return self._cupy.empty(shape, dtype)

    def zeros(self, shape):
        """Return a float64 device array of zeros."""
        return self._cupy.zeros(shape, "float64")

    def download(self, array):
        """Return a host copy of a device array, once all launches have finished."""
        return self._cupy.asnumpy(array)

    def launch(self, source, name, blocks, threads, shared_bytes, arguments):
        """Run a kernel of `source` with device arrays, NumPy scalars and None (a null pointer)."""
        function = self._functions.get((name, source))
        if function is None:
            function = self._cupy.RawModule(code=source, options=_OPTIONS).get_function(name)
            self._functions[name, source] = function
        if shared_bytes > _USUAL_SHARED_BYTES:
            function.max_dynamic_shared_size_bytes = shared_bytes
        arguments = tuple(np.uint64(0) if a is None else a for a in arguments)
        function((blocks,), (threads,), arguments, shared_mem=shared_bytes)

    def free_bytes(self):
        """Return the memory that is available for arrays now."""
        try:
            with self._other_context() as device:
                free, _ = device.mem_info
        except self.FailedError as error:
            raise lost(self, error) from error
        return free + self._cupy.get_default_memory_pool().free_bytes()

    def release_memory(self):
        """Free the memory that CuPy keeps for later arrays."""
        with self._other_context():
            self._cupy.get_default_memory_pool().free_all_blocks()

    def _other_context(self):
        # For calls that do not take the lock.  A CuPy Device records the devices that were current
        # when it was entered in a single list, so threads must not use one simultaneously.
        return self._cupy.cuda.Device(self._index)

    def load_linear_algebra(self):
        """Raise ImportError if CuPy does not find cuBLAS and cuSOLVER."""
        import cupyx.scipy.linalg  # noqa: F401
        from cupy_backends.cuda.libs import cublas, cusolver

        errors = cublas.CUBLASError, cusolver.CUSOLVERError
        self.FailedError = tuple({*self.FailedError, *errors})

    def cholesky(self, matrix):
        """Return the Cholesky factor of a small device matrix; only the lower triangle is read.

        Raises
        ------
        scipy.linalg.LinAlgError
            The matrix is not positive definite.
        """
        import cupyx

        with cupyx.errstate(linalg="raise"):  # by default the status is not checked
            return self._cupy.linalg.cholesky(matrix)

    def solve_triangular(self, factor, b, transposed=False):
        """Replace `b` by L⁻¹ b, or L⁻ᵀ b, without a copy if it is in Fortran order."""
        from cupyx.scipy.linalg import solve_triangular

        solved = solve_triangular(
            factor, b, trans=int(transposed), lower=True, overwrite_b=True, check_finite=False
        )
        if solved is not b:
            b[...] = solved


def is_of_memory(error):
    """Return whether an error of CUDA or one of its libraries reports a lack of memory."""
    return re.search("out of memory|OUT_OF_MEMORY|ALLOC_FAILED", str(error)) is not None


def check_memory_is_out(device, error):
    """Raise the error for a device that failed for a reason other than lack of memory."""
    if isinstance(error, device.FailedError) and not is_of_memory(error):
        raise lost(device, error) from error


def lost(device, error):
    """Return the error to raise if a device failed during a computation."""
    return RuntimeError(
        f"{device.label} failed ({_first_line(error)}). After most failures a GPU is unusable for "
        "its process: start a new one, or use device='cpu'. Values that memory or gram_to_zarr had "
        "stored are kept, and the next run continues from there."
    )


def check(index):
    """Compile and run a kernel on a device; raise CuPy's error if that fails."""
    import cupy

    with cupy.cuda.Device(index):
        kernel = cupy.RawKernel('extern "C" __global__ void probe(int *x) { *x = 1; }', "probe")
        x = cupy.zeros(1, dtype="int32")
        kernel((1,), (1,), (x,))
        if int(x[0]) != 1:
            raise RuntimeError("a kernel did not run")


@lru_cache
def open_devices(index):
    """Return the device with this index, as a list, or all devices if `index` is None.

    Raises
    ------
    RuntimeError
        CuPy, the driver or the device is missing.
    """
    asked = "device='cuda'" if index is None else f"device='cuda:{index}'"
    busy = (
        "another process may have filled it, as nvidia-smi shows: wait for that process to end, "
        "use another GPU, or use device='cpu'"
    )
    extras = (
        "pip install 'sklearn-cntk[cuda12x]' (CUDA 12) or 'sklearn-cntk[cuda13x]' (CUDA 13), "
        "or use device='cpu'"
    )
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(f"{asked} needs CuPy ({error}): {extras}.") from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise RuntimeError(
            f"{asked} found no usable NVIDIA driver or GPU ({error}): install a driver that fits "
            f"CuPy's CUDA version, or the CuPy that fits the driver: {extras}."
        ) from error
    found = "; ".join(_label(cupy, k) for k in range(count)) or "none"
    if count == 0 or (index is not None and index >= count):
        raise RuntimeError(f"{asked} is not available: CUDA devices found: {found}.")
    indices = range(count) if index is None else [index]
    for k in indices:
        try:
            check(k)
        except Exception as error:
            remedy = busy if is_of_memory(error) else extras
            raise RuntimeError(
                f"{asked}: cuda:{k} cannot run kernels ({_first_line(error)}): {remedy}."
            ) from error
    return [CupyDevice(k) for k in indices]


@lru_cache
def find_devices():
    """Return all usable devices; warn once if CuPy is installed but they cannot be used."""
    if find_spec("cupy") is None:
        return []
    try:
        return open_devices(None)
    except RuntimeError as error:
        if getattr(error.__cause__, "status", None) == _NO_DEVICE:
            return []
        warnings.warn(
            f"device='auto' uses the CPU: CuPy is installed, but no GPU can be used: "
            f"{_first_line(error)}",
            RuntimeWarning,
            stacklevel=2,
        )
        return []


def _label(cupy, index):
    name = cupy.cuda.runtime.getDeviceProperties(index)["name"]
    return f"cuda:{index} ({name.decode()})"


def _first_line(error):
    return (str(error) or repr(error)).splitlines()[0]
