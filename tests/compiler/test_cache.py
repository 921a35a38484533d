"""Kept objects are verified or compiled again: nothing damaged, foreign or writable by others is ever linked."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faltung.compiler import cache

if TYPE_CHECKING:
    from collections.abc import Callable

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PAYLOAD = b"object code " * 9


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for kept objects, not made yet, and a process that has not warned yet."""
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("FALTUNG_CACHE", raising=False)
    monkeypatch.setattr(cache, "_warned", False)
    cache._shrink_once.cache_clear()
    return tmp_path / "kept"


def entry(home: Path, key: bytes = KEY) -> Path:
    return home / f"{key.hex()}.o"


def leftovers(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if path.suffix != ".o"]


def test_what_was_stored_is_loaded(home: Path) -> None:
    assert cache.load(KEY) is None
    cache.store(KEY, PAYLOAD)
    assert cache.load(KEY) == PAYLOAD
    assert cache.load(OTHER) is None
    assert home.stat().st_mode & 0o777 == 0o700
    assert entry(home).stat().st_mode & 0o777 == 0o600
    assert leftovers(home) == []


def test_a_stored_object_replaces_an_older_one(home: Path) -> None:
    cache.store(KEY, b"old")
    cache.store(KEY, PAYLOAD)
    assert cache.load(KEY) == PAYLOAD


def truncations() -> list[Callable[[bytes], bytes]]:
    return [lambda data, n=n: data[:n] for n in [*range(cache.HEADER + 3), cache.HEADER + 50]]


def flips() -> list[Callable[[bytes], bytes]]:
    def flip(data: bytes, at: int, bit: int) -> bytes:
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]

    total = cache.HEADER + len(PAYLOAD)
    return [lambda data, n=n: flip(data, n, n % 8) for n in range(total)]


@pytest.mark.parametrize(
    "damages",
    [truncations(), flips(), [lambda data: data + b"\0", lambda data: data * 2, lambda data: b"\0" * len(data)]],
    ids=["truncated", "one bit flipped", "longer or zeroed"],
)
def test_a_damaged_entry_is_deleted_with_one_warning(
    home: Path, damages: list[Callable[[bytes], bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(KEY, PAYLOAD)
    good = entry(home).read_bytes()
    for damage in damages:
        monkeypatch.setattr(cache, "_warned", False)
        entry(home).write_bytes(damage(good))
        with pytest.warns(RuntimeWarning, match="is damaged or foreign; it is compiled again"):
            assert cache.load(KEY) is None
        assert not entry(home).exists()
        entry(home).write_bytes(damage(good))
        assert cache.load(KEY) is None  # a second warning would be an error here


def test_an_entry_of_another_key_is_foreign(home: Path) -> None:
    cache.store(OTHER, PAYLOAD)
    entry(home, OTHER).rename(entry(home))
    with pytest.warns(RuntimeWarning, match="damaged or foreign"):
        assert cache.load(KEY) is None


def test_an_object_without_code_is_damaged(home: Path) -> None:
    cache.store(KEY, b"")
    with pytest.warns(RuntimeWarning, match="damaged or foreign"):
        assert cache.load(KEY) is None


def test_a_link_is_never_followed(home: Path, tmp_path: Path) -> None:
    cache.store(KEY, PAYLOAD)
    elsewhere = tmp_path / "elsewhere.o"
    entry(home).rename(elsewhere)
    entry(home).symlink_to(elsewhere)
    assert cache.load(KEY) is None
    before = elsewhere.read_bytes()
    cache.store(KEY, b"another")
    assert not entry(home).is_symlink()
    assert cache.load(KEY) == b"another"
    assert elsewhere.read_bytes() == before


def test_a_folder_in_the_place_of_an_entry_is_no_entry(home: Path) -> None:
    home.mkdir(mode=0o700)
    entry(home).mkdir()
    assert cache.load(KEY) is None
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        cache.store(KEY, PAYLOAD)
    assert leftovers(home) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_a_folder_that_others_can_write_is_not_used(home: Path, mode: int) -> None:
    cache.store(KEY, PAYLOAD)
    home.chmod(mode)
    with pytest.warns(RuntimeWarning, match="must belong to the current user and be writable by nobody else"):
        assert cache.load(KEY) is None
    cache.store(OTHER, PAYLOAD)
    assert not entry(home, OTHER).exists()


def test_a_folder_of_another_owner_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(KEY, PAYLOAD)
    if os.geteuid() == 0:
        os.chown(home, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.warns(RuntimeWarning, match="must belong to the current user"):
        assert cache.load(KEY) is None
    cache.store(OTHER, PAYLOAD)
    assert not entry(home, OTHER).exists()


def test_a_linked_folder_is_not_used(home: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    home.symlink_to(tmp_path / "target")
    with pytest.warns(RuntimeWarning, match="is not a folder"):
        cache.store(KEY, PAYLOAD)
    assert list((tmp_path / "target").iterdir()) == []


def test_a_file_in_the_place_of_the_folder(home: Path) -> None:
    home.write_text("not a folder")
    with pytest.warns(RuntimeWarning, match="is not a folder"):
        assert cache.load(KEY) is None
    cache.store(KEY, PAYLOAD)
    assert home.read_text() == "not a folder"


def test_a_file_in_the_place_of_the_parent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("not a folder")
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(home / "kept"))
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert cache.load(KEY) is None
    cache.store(KEY, PAYLOAD)


def test_a_user_without_a_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under an arbitrary user number."""
    import pwd

    def unknown(_: int) -> None:
        raise KeyError

    for name in ("FALTUNG_CACHE_DIR", "XDG_CACHE_HOME", "FALTUNG_CACHE", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(cache, "_warned", False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cache.load(KEY) is None
        cache.store(KEY, PAYLOAD)
        assert cache.load(KEY) is None


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE_DIR", "/somewhere/kept")
    assert cache.folder() == Path("/somewhere/kept")
    monkeypatch.delenv("FALTUNG_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.folder() == Path("/somewhere/faltung")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/house")
    assert cache.folder() == Path("/house/.cache/faltung")


def test_the_cache_can_be_turned_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(KEY, PAYLOAD)
    monkeypatch.setenv("FALTUNG_CACHE", "0")
    assert cache.load(KEY) is None
    cache.store(OTHER, PAYLOAD)
    assert [path.name for path in home.iterdir()] == [entry(home).name]


def test_the_least_recently_used_go_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = cache.HEADER + len(PAYLOAD)
    keys = [hashlib.sha256(bytes([i])).digest() for i in range(5)]
    for age, key in enumerate(keys[:4]):
        cache.store(key, PAYLOAD)
        os.utime(entry(home, key), (1000 + age, 1000 + age))
    assert [name for name, _ in cache.entries()] == [entry(home, key).name for key in reversed(keys[:4])]
    assert cache.load(keys[0]) == PAYLOAD
    assert cache.entries()[0] == (entry(home, keys[0]).name, size)
    monkeypatch.setattr(cache, "LIMIT_BYTES", 3 * size)
    cache._shrink_once.cache_clear()
    cache.store(keys[4], PAYLOAD)
    assert {name for name, _ in cache.entries()} == {entry(home, keys[i]).name for i in (0, 3, 4)}


def test_clear_deletes_the_kept_objects_and_nothing_else(home: Path) -> None:
    assert cache.clear() == 0
    assert cache.entries() == []
    cache.store(KEY, PAYLOAD)
    cache.store(OTHER, PAYLOAD)
    (home / "notes.txt").write_text("mine")
    (home / "main.o").write_text("the object of somebody's C program")
    assert len(cache.entries()) == 2
    assert cache.clear() == 2
    assert sorted(path.name for path in home.iterdir()) == ["main.o", "notes.txt"]
