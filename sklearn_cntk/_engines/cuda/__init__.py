"""The CUDA engine: CuPy and the kernels."""
