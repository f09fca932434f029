"""Kernels with and without memory, and the files that memory leaves."""

from sklearn_cntk import CNTK, KernelStore


def kernels(folder, engine="cpu", **parameters):
    """The same kernel with memory, on an engine, and without; one thread, for exact counts."""
    stored = CNTK(4, memory=folder, n_jobs=1, device=engine, **parameters)
    return stored, CNTK(4, device="cpu", **parameters)


def files(folder, pattern="*/*.blocks"):
    return sorted(folder.glob(pattern))


class ImpatientStore(KernelStore):
    """A store for short runs and few files: it writes at once, and joins more than five files."""

    def partition(self, architecture, dtype, flip):
        partition = super().partition(architecture, dtype, flip)
        partition.many_files, partition.shortest_wait = 5, 0.025
        return partition
