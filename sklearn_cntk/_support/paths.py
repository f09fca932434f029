"""Paths that users give."""

import os


def home_expanded(path: str | os.PathLike[str]) -> str:
    """A path as text, in which ~ is the home folder.

    Raises
    ------
    ValueError
        The path is empty, or ~ is that of no user.
    """
    text = os.fsdecode(path)
    if not text:
        raise ValueError("an empty path names no folder: '.' is the current one.")
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise ValueError(
            f"{text!r} names the home folder of no user: write it out, or ./{text} for a folder of "
            "that name."
        )
    return expanded
