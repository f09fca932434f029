"""Damaged files of kernel entries: noticed, reported and computed again."""

import os
import warnings

import numpy as np
import pytest
from stored_kernels import ImpatientStore, files, kernels

from sklearn_cntk import CNTK
from sklearn_cntk._store.entries import Partition, digests, read_records


def damage_truncate(path):
    os.truncate(path, path.stat().st_size - 100)


def damage_bit(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)


def damage_identifier(path):
    data = path.read_bytes()
    at = data.index(b"\x93NUMPY", 10) + 130  # in the second array, the rows
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def damage_foreign(path):
    path.write_text("shopping list")


def damage_pickle(path):
    with open(path, "wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_bit, damage_identifier, damage_foreign, damage_pickle]
)
def test_damaged_file_is_reported_and_computed_again(images, tmp_path, counting, damage):
    stored, plain = kernels(tmp_path, counting)
    K = stored(images)
    done = counting.total
    damage(files(tmp_path)[0])
    # Files are read once a process: this one is another, as far as the reader can know.
    read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        np.testing.assert_array_equal(stored(images), K)
    assert counting.total > done
    assert len(files(tmp_path, "*/*.damaged")) == 1
    done = counting.total
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(stored(images), K)
    assert counting.total == done


def flips(path, n=80):
    """The record of a file of one record, each time with one byte of another place changed."""
    data = path.read_bytes()
    ends = []
    with open(path, "rb") as file:
        for _ in range(4):
            np.load(file)
            ends.append(file.tell())
    assert ends[-1] == len(data)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        for at in np.unique(np.linspace(start, end - 1, n).astype(int)):
            for changed in {data[at] ^ 1, data[at] ^ 2, 0x20, 0x23, 0x39} - {data[at]}:
                yield at, data[:at] + bytes([changed]) + data[at + 1 :]


def test_every_changed_byte_is_noticed(rng, tmp_path):
    """Header, rows, columns and values: nothing of a changed file is ever used."""
    X, Y = rng.normal(size=(5, 3, 3, 1)), rng.normal(size=(4, 3, 3, 1))
    names = ["d2-gap-all", "d4-gap-all"]
    partition = Partition(tmp_path / "v1-space", 10**9)
    partition.write([((names, digests(X), digests(Y), rng.normal(size=(2, 5, 4))), OPTIONS)])
    (path,) = files(tmp_path)
    used = Target(names)
    Partition(partition.folder, 10**9).read(used)
    assert len(used.copied) == 1
    other = path.with_name("0.blocks")
    changed = list(flips(path))
    assert len(changed) > 1000
    path.unlink()
    for at, data in changed:
        other.write_bytes(data)
        read_records.cache_clear()
        target = Target(names)
        with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
            Partition(partition.folder, 10**9).read(target)
        assert not target.copied, at
        assert not other.exists(), at


OPTIONS = {"paired": False, "complete": True}


class Target:
    """Wants everything."""

    def __init__(self, names):
        self.names, self.copied = names, []

    def wants(self, record):
        return True

    def copy(self, record, planes):
        self.copied.append(planes)


def test_changed_name_of_a_readout(images, tmp_path):
    """One byte makes depth 4 depth 5."""
    CNTK(4, memory=tmp_path)(images)
    (path,) = files(tmp_path)
    data = path.read_bytes()
    assert b"d4-gap" in data
    path.write_bytes(data.replace(b"d4-gap", b"d5-gap"))
    read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="the checksum of a record does not match"):
        K = CNTK(5, memory=tmp_path)(images)
    np.testing.assert_array_equal(K, CNTK(5)(images))


def test_numbers_of_a_foreign_file_ask_for_no_memory(images, tmp_path):
    CNTK(4, memory=tmp_path)(images)
    (path,) = files(tmp_path)
    with open(path, "wb") as file:
        shape = {"descr": "|u1", "fortran_order": False, "shape": (10**18,)}
        np.lib.format.write_array_header_1_0(file, shape)
    read_records.cache_clear()
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        CNTK(4, memory=tmp_path)(images)


def test_damage_is_not_joined(images, tmp_path, counting):
    """A small file's changed value costs this file, not the large one that it would become."""
    stored, plain = kernels(tmp_path, counting)
    for i in range(6):
        stored(images[i : i + 1], images[10:20])
    damage_bit(files(tmp_path)[0])
    read_records.cache_clear()
    stored.set_params(memory=ImpatientStore(tmp_path))
    stored(images[:1], images[20:])  # other entries, so nothing of the six is read for them
    assert len(files(tmp_path)) == 2
    with pytest.warns(RuntimeWarning, match="damaged or not a file of sklearn_cntk"):
        K = stored(images[:6], images[10:20])
    np.testing.assert_allclose(K, plain(images[:6], images[10:20]), rtol=1e-12)
    assert counting.most_often == 2
    assert list(counting.pairs_computed.values()).count(2) == 10
