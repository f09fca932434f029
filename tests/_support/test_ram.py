"""Memory that control groups leave, read from trees of files as Linux makes them."""

import pytest

from sklearn_cntk._support.ram import available_bytes, control_group_bytes


@pytest.fixture
def tree(tmp_path):
    """Writes groups; asks for what a process of the group that `lines` name has."""

    class Tree:
        def write(self, group, **files):
            folder = tmp_path / "mount" / group
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / f"memory.{name}").write_text(f"{text}\n")

        def left(self, lines):
            (tmp_path / "groups").write_text(lines + "\n")
            return control_group_bytes(tmp_path / "groups", tmp_path / "mount")

    return Tree()


def test_page_cache_is_free_memory(tree):
    stat = "anon 100\nfile 850\ninactive_file 600\nactive_file 200\nshmem 50"
    tree.write("", max=1000, current=950, stat=stat)
    assert tree.left("0::/") == [1000 - (950 - 800)]


def test_limits_of_all_groups_around_count(tree):
    tree.write("outer", max=500, current=450, stat="inactive_file 150\nactive_file 50")
    tree.write("outer/middle", max="max", current=300, stat="inactive_file 0\nactive_file 0")
    tree.write("outer/middle/inner", max=400, current=100, stat="inactive_file 0\nactive_file 30")
    tree.write("other", max=1, current=1, stat="inactive_file 0\nactive_file 0")
    assert tree.left("0::/outer/middle/inner") == [500 - 250, 400 - 70]


@pytest.mark.parametrize("path", ["/docker/3f2a", "/../.."])
def test_containers_see_their_group_as_the_root(tree, path):
    tree.write("", max=1000, current=300, stat="inactive_file 100\nactive_file 0")
    assert tree.left(f"0::{path}") == [800]


def test_version_1(tree):
    """Where memory.stat has sums over the groups inside under names of their own."""
    stat = "inactive_file 1\nactive_file 2\ntotal_inactive_file 300\ntotal_active_file 100"
    tree.write("memory/box", limit_in_bytes=1000, usage_in_bytes=900, stat=stat)
    tree.write("cpu/box", limit_in_bytes=1, usage_in_bytes=1, stat=stat)
    assert tree.left("12:cpu,cpuacct:/box\n4:memory:/box\n1:name=systemd:/box\n0::/") == [500]


def test_a_group_above_its_limit_leaves_nothing(tree):
    tree.write("", max=1000, current=1100, stat="inactive_file 0\nactive_file 0")
    assert tree.left("0::/") == [0]


def test_no_groups(tree, tmp_path):
    assert tree.left("0::/") == []
    assert control_group_bytes(tmp_path / "missing", tmp_path / "missing") == []
    assert available_bytes() > 2**20
