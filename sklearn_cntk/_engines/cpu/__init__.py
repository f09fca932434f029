"""The CPU engine: Numba, with one image per vector lane."""
