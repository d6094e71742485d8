"""The cache holds what was put into it, and nothing that another user may have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cancernet_cli.core import cache
from cancernet_cli.core.cache import SUMS_FILE, Untrusted, cache_folder, cached_folder, find_cached
from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.core.files import OUTPUT_MARKER


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANCERNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Kept:
    """Uses the cache once per `read`, and remembers how often the content was made and what was said."""

    def __init__(self) -> None:
        self.made = 0
        self.told: list[Event] = []

    def make(self, folder: Path) -> None:
        self.made += 1
        (folder / "model.xml").write_text("layers")
        (folder / "model.bin").write_bytes(bytes(1000))

    def read(self) -> str:
        with cached_folder("networks", "key", self.make, self.told.append) as found:
            return (found / "model.xml").read_text()

    @property
    def warning(self) -> str:
        (event,) = self.told
        assert isinstance(event, Warn)
        return event.message


@pytest.fixture
def kept(root: Path) -> Kept:
    kept = Kept()
    assert kept.read() == "layers"
    assert (kept.made, kept.told) == (1, [])
    return kept


def entry_of(root: Path) -> Path:
    return root / "networks" / "key"


def test_it_is_made_once_and_private(kept: Kept, root: Path) -> None:
    assert kept.read() == "layers"
    assert (kept.made, kept.told) == (1, [])
    assert [path.stat().st_mode & 0o777 for path in (root, root / "networks", entry_of(root))] == [0o700] * 3
    assert find_cached("networks", "key") == entry_of(root)
    assert find_cached("networks", "other") is None
    assert (entry_of(root) / SUMS_FILE).read_text().count("  model.") == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.xml", "other layers"), ("model.bin", ""), (SUMS_FILE, "nothing"), ("planted.so", "x")],
)
def test_a_changed_entry_is_made_again_with_a_warning(kept: Kept, root: Path, name: str, content: str) -> None:
    (entry_of(root) / name).write_text(content)
    with pytest.raises(Untrusted):
        find_cached("networks", "key")
    assert kept.read() == "layers"
    assert kept.made == 2
    assert "it is made again" in kept.warning
    assert kept.read() == "layers"
    assert kept.made == 2


def test_an_entry_without_checksums_or_with_links_is_made_again(kept: Kept, root: Path, tmp_path: Path) -> None:
    (entry_of(root) / SUMS_FILE).unlink()
    kept.read()
    assert "it has no checksums" in kept.warning
    (tmp_path / "same.xml").write_text("layers")
    (entry_of(root) / "model.xml").unlink()
    (entry_of(root) / "model.xml").symlink_to(tmp_path / "same.xml")
    kept.read()
    assert kept.made == 3
    moved = entry_of(root).rename(tmp_path / "moved")
    entry_of(root).symlink_to(moved)
    kept.read()
    assert kept.made == 4
    assert (moved / "model.xml").exists()  # a link is removed, not what it leads to


def test_what_others_could_write_to_is_not_used(kept: Kept, root: Path) -> None:
    entry_of(root).chmod(0o777)
    kept.read()
    assert kept.made == 2
    assert "writable by other users" in kept.warning
    kept.told.clear()
    (root / "networks").chmod(0o775)
    kept.read()
    assert kept.made == 3
    assert "writable by other users; its content was removed" in kept.warning
    assert (root / "networks").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("whose", ["", "networks", "networks/key"])
def test_what_belongs_to_another_user_is_not_used(
    kept: Kept, root: Path, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = root / whose
    owner, stat = os.getuid() + 1, Path.stat

    def stat_of(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat(path, follow_symlinks=follow_symlinks)
        return os.stat_result((*found[:4], owner, *found[5:])) if path == foreign else found

    monkeypatch.setattr(Path, "stat", stat_of)
    with pytest.raises(Untrusted, match="belongs to another user"):
        find_cached("networks", "key")
    assert kept.read() == "layers"
    assert kept.made == 2
    assert "belongs to another user" in kept.told[0].message  # type: ignore[union-attr]


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write_text("a file in the way")
    kept = Kept()
    assert kept.read() == "layers"
    assert "cannot be used as a cache" in kept.warning
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="cannot be written: No such file or directory; free some disk space"):
        kept.read()


def test_a_full_disk_leaves_nothing_behind(root: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "model.xml").write_text("half")
        if folder.is_relative_to(root):
            raise OSError(28, "No space left on device")

    told: list[Event] = []
    with cached_folder("networks", "key", make, told.append) as found:
        assert not found.is_relative_to(root)
    assert "No space left on device" in told[0].message  # type: ignore[union-attr]
    assert [path.name for path in (root / "networks").iterdir()] == [OUTPUT_MARKER]


def test_a_private_folder_is_tightened(root: Path) -> None:
    (root / "bench").mkdir(parents=True)
    (root / "bench").chmod(0o755)
    (root / "bench" / "advice.json").write_text("{}")
    folder = cache_folder("bench")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "advice.json").exists()
