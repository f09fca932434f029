"""Paths that users give."""

import os


def home_expanded(path: str | os.PathLike[str]) -> str:
    """Return a path as text, with ~ replaced by the home folder.

    Raises
    ------
    ValueError
        The path is empty, or there is no such user as ~ names.
    """
    text = os.fsdecode(path)
    if not text:
        raise ValueError("an empty path names no folder: use '.' for the current one.")
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise ValueError(
            f"{text!r} names the home folder of no user: write it out, or use ./{text} for a "
            "folder of that name."
        )
    return expanded
