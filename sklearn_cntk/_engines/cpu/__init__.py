"""The CPU engine: Numba, one vector lane an image."""
