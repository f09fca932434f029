"""How much memory is free, and the error raised before work that would not fit."""

import os
from pathlib import Path, PurePosixPath


def available_bytes():
    """Return the bytes of memory available without swapping, or None if unknown."""
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    elif "SC_AVPHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limits.extend(control_group_bytes())
    return min(limits, default=None)


def control_group_bytes(groups=Path("/proc/self/cgroup"), mount=Path("/sys/fs/cgroup")):
    """Return what the limits of this process's control groups leave, as in a container.

    Parameters
    ----------
    groups : Path
        File that names the process's group in each hierarchy.
    mount : Path
        Where version 2 is mounted, and version 1 with one folder per controller.

    Returns
    -------
    list of int
        Bytes, one for each group from the process's own to the root that has a limit.
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:  # another system
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, limit, used, prefix = mount, "memory.max", "memory.current", ""
        elif "memory" in controllers.split(","):
            root, prefix = mount / "memory", "total_"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Seen from inside a container, its group may be the root, whatever the path.
        parts = PurePosixPath(path).parts[1:]
        parts = () if ".." in parts else parts
        for k in range(len(parts) + 1):
            limits += _left(root.joinpath(*parts[:k]), limit, used, prefix)
    return limits


def _left(group, limit, used, prefix):
    """Return [bytes that the group's limit leaves], or [] if it has none."""
    try:
        limit = (group / limit).read_text().strip()
        used = int((group / used).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or another interface
        return []
    if limit == "max":
        return []
    # Files that were read or written stay in memory until it is needed elsewhere.
    cache = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
    return [max(0, int(limit) - max(0, used - cache))]


def check_memory(n_bytes, what, remedy):
    """Raise a MemoryError with the `remedy` if the bytes that `what` needs do not fit."""
    available = available_bytes()
    if available is not None and n_bytes > available:
        raise MemoryError(
            f"{what} needs {n_bytes / 2**30:.1f} GiB, but {available / 2**30:.1f} GiB are free: "
            f"{remedy}."
        )
