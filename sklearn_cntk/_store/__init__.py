"""Kernel entries and Gram matrices on disk, independent of how they are computed."""
