"""How much memory there is, before work starts that would not fit."""

import os
from pathlib import Path


def available_bytes():
    """Bytes of memory that can be had without swapping, or None where the system does not say."""
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    elif "SC_AVPHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limits.extend(_container_bytes())
    return min(limits, default=None)


def _container_bytes():
    """What a container's limit leaves, if there is one (cgroup v2)."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such group, or another version of the interface
        return []
    return [] if limit == "max" else [int(limit) - used]


def check_memory(n_bytes, what, remedy):
    """Raise MemoryError, which says `what` needs the bytes and the `remedy`, if they do not fit."""
    available = available_bytes()
    if available is not None and n_bytes > available:
        raise MemoryError(
            f"{what} needs {n_bytes / 2**30:.1f} GiB, but {available / 2**30:.1f} GiB are free: "
            f"{remedy}."
        )
