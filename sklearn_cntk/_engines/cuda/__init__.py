"""The CUDA engine: CuPy and ``kernels.cu``."""
