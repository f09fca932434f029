"""What other processes, or this one, do to the folder between two steps."""

import os
from pathlib import Path

from sklearn.base import clone
from stored_kernels import files, kernels

from sklearn_cntk import CNTK, KernelStore, clear_memory


def test_clear_memory_beside_other_processes(images, tmp_path, monkeypatch):
    """One that removes files between the listing and the removal, and one that writes new ones."""
    stored, _ = kernels(tmp_path)
    stored(images[:5])
    stored(images[:9])
    first, *others = files(tmp_path)
    size = sum(path.stat().st_size for path in others)
    unlink = Path.unlink

    def meanwhile(path, missing_ok=False):
        """Of the first file: when it is its turn, another process has removed it already."""
        if path == first:
            unlink(first)
            first.with_name("new.blocks").write_text("")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", meanwhile)
    assert clear_memory(tmp_path) == size
    assert [path.name for path in files(tmp_path)] == ["new.blocks"]


def test_writing_beside_clear_memory(images, tmp_path, monkeypatch):
    """The temporary file and its folder vanish before it is renamed: it is written once more."""
    replace, calls = os.replace, []

    def cleared(source, target):
        if not calls:
            clear_memory(tmp_path)
        calls.append(source)
        return replace(source, target)

    monkeypatch.setattr(os, "replace", cleared)
    CNTK(4, memory=tmp_path, n_jobs=1)(images[:5])
    assert len(calls) >= 2
    assert len(files(tmp_path)) == len(calls) - 1


def test_relative_folder_is_that_of_the_job(images, tmp_path, monkeypatch):
    """Wherever the process goes on; the parameter itself stays as it was given."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    for memory in ("entries", KernelStore("more")):
        kernel = CNTK(3, memory=memory, n_jobs=1)
        job = kernel._job(images)
        monkeypatch.chdir(elsewhere)
        job.gram(images)
        monkeypatch.chdir(home)
        assert kernel.memory == memory
        assert clone(kernel).memory == memory
    for folder in (home / "entries", home / "more"):
        assert files(folder, "*/*.blocks")
    assert not list(elsewhere.iterdir())
