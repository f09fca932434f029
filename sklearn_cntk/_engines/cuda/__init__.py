"""The CUDA engine: CuPy, and the CUDA kernels."""
