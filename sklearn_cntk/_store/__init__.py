"""Kernel entries and Gram matrices on disk; it knows nothing of how they are computed."""
