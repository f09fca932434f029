"""Kernel entries and Gram matrices on disk; nothing of kernels."""
