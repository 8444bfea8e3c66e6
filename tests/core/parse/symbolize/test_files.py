"""Where symbols and debug information are looked for, and which files are taken for the right ones."""

from __future__ import annotations

import lzma
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from helpers.environment import DATA
from tailflame.parse.symbolize import Module, State, Symbolizer, files
from tailflame.parse.symbolize.files import ModuleFiles, find_files, has_debug_info
from tailflame.parse.symbolize.index_store import IndexStore

SPIN = DATA / "perf" / "6.1.187" / "spin"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
INLINED_AT = 0x124D

pytestmark = pytest.mark.tool("objcopy")


@pytest.fixture(autouse=True)
def debug_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own /usr/lib/debug."""
    monkeypatch.setattr(files, "DEBUG_ROOT", tmp_path / "debug-root")
    return tmp_path / "debug-root"


@pytest.fixture
def stripped(tmp_path: Path) -> Path:
    """The program without symbols, and beside it `spin.debug` with them, which no link leads to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    run("objcopy", "--only-keep-debug", str(SPIN), str(folder / "spin.debug"))
    run("objcopy", "--strip-all", str(SPIN), str(folder / "spin"))
    return folder / "spin"


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def without_build_id(path: Path) -> None:
    run("objcopy", "--remove-section", ".note.gnu.build-id", str(path))


def found(
    path: Path, build_id: str = BUILD_ID, *, home: Path = Path("/nowhere"), recorded_at: float = 0.0
) -> ModuleFiles:
    return find_files(Module(str(path), build_id), home=home, recorded_at=recorded_at)


def names(path: Path, home: Path, store: IndexStore) -> list[str]:
    """What stands at INLINED_AT, outermost first; without debug information the function alone."""
    with Symbolizer(home=home, store=store) as symbolizer:
        module = Module(str(path), BUILD_ID)
        at = np.array([INLINED_AT], dtype=np.uint64)
        lines = symbolizer.inlined(module, at, np.ones(1, bool))
        name = symbolizer.names(module, at).name[0]
        if len(lines.name):
            assert lines.name[0] == name
            return [symbolizer.strings[number] for number in lines.name.tolist()]
        return [symbolizer.strings[name]] if name >= 0 else []


@pytest.mark.parametrize(
    "place",
    [
        "bin/spin.debug",
        "bin/.debug/spin.debug",
        "debug-root/{folder}/spin.debug",
        "debug-root/{folder}/spin",
        "debug-root/.build-id/9d/9ebfec8cc613ccc231a03e13e0f00e75b72fc6.debug",
        ".debug/.build-id/9d/9ebfec8cc613ccc231a03e13e0f00e75b72fc6/debug",
        ".debug/.build-id/9d/9ebfec8cc613ccc231a03e13e0f00e75b72fc6/elf",
    ],
)
def test_a_separate_file_is_found(stripped: Path, tmp_path: Path, place: str) -> None:
    store = IndexStore(tmp_path / "indexes")
    debug = stripped.with_name("spin.debug")
    target = tmp_path / place.format(folder=str(stripped.parent)[1:])
    if place.startswith("bin/"):
        run("objcopy", f"--add-gnu-debuglink={debug}", str(stripped))
    else:
        assert names(stripped, tmp_path, store) == []
    target.parent.mkdir(parents=True, exist_ok=True)
    debug.rename(target)
    assert names(stripped, tmp_path, store) == ["churn", "blend", "twist"]
    # One of another build has the right name as well.
    target.write_bytes(target.read_bytes().replace(bytes.fromhex(BUILD_ID), bytes(20)))
    assert names(stripped, tmp_path, IndexStore(tmp_path / "others")) == []


def test_without_build_ids_the_checksum_of_the_link_decides(stripped: Path) -> None:
    debug = stripped.with_name("spin.debug")
    without_build_id(debug)
    without_build_id(stripped)
    run("objcopy", f"--add-gnu-debuglink={debug}", str(stripped))
    symbols = found(stripped, "").symbols()
    assert symbols is not None and symbols.path == debug
    debug.write_bytes(debug.read_bytes() + b"x")
    symbols = found(stripped, "").symbols()
    assert symbols is not None and symbols.path == stripped


def test_mini_debug_info(stripped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fedora's binaries carry their functions, packed."""
    packed = tmp_path / "packed.xz"
    packed.write_bytes(lzma.compress(stripped.with_name("spin.debug").read_bytes()))
    run("objcopy", "--add-section", f".gnu_debugdata={packed}", str(stripped))
    store = IndexStore(tmp_path / "indexes")
    assert names(stripped, tmp_path, store) == ["churn"]
    monkeypatch.setattr(files, "_MINI_LIMIT", 8 * 1024**2)
    for damaged in (lzma.compress(b"no ELF"), packed.read_bytes()[:100], b"no xz", lzma.compress(bytes(9 * 1024**2))):
        packed.write_bytes(damaged)
        run("objcopy", "--update-section", f".gnu_debugdata={packed}", str(stripped))
        assert names(stripped, tmp_path, store) == []


def test_a_binary_that_is_gone_is_found_in_the_cache_of_perf(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    cached = tmp_path / ".debug/.build-id" / BUILD_ID[:2] / BUILD_ID[2:]
    cached.mkdir(parents=True)
    assert found(path, home=tmp_path).state is State.MISSING
    shutil.copy(SPIN, cached / "elf")
    store = IndexStore(tmp_path / "indexes")
    assert names(path, tmp_path, store) == ["churn", "blend", "twist"]
    path.write_text("another program by now")
    assert names(path, tmp_path, store) == ["churn", "blend", "twist"]
    assert found(path, home=Path("/nowhere")).state is State.CHANGED


def test_a_debug_file_alone_does_not_tell_where_code_lay(stripped: Path, tmp_path: Path, debug_root: Path) -> None:
    target = debug_root / f".build-id/{BUILD_ID[:2]}/{BUILD_ID[2:]}.debug"
    target.parent.mkdir(parents=True)
    stripped.with_name("spin.debug").rename(target)
    assert names(stripped, tmp_path, IndexStore(tmp_path / "indexes")) == ["churn", "blend", "twist"]
    stripped.unlink()
    assert names(stripped, tmp_path, IndexStore(tmp_path / "indexes")) == []
    assert found(stripped).state is State.MISSING


def test_deleted_while_it_ran() -> None:
    assert found(Path(f"{SPIN} (deleted)")).state is State.READ


def test_without_a_build_id_only_the_same_file_is_trusted_with_lines(tmp_path: Path) -> None:
    path = tmp_path / "spin"
    shutil.copy(SPIN, path)
    without_build_id(path)
    now = path.stat()

    def asked(inode: int, recorded_at: float) -> ModuleFiles:
        return find_files(Module(str(path), inode=inode), home=tmp_path, recorded_at=recorded_at)

    same = asked(now.st_ino, now.st_mtime + 1)
    assert same.state is State.READ and same.key and same.running is not None
    debug = same.debug_info()
    assert debug is not None and has_debug_info(debug)
    for other in (asked(now.st_ino + 1, now.st_mtime + 1), asked(now.st_ino, 0.0)):
        assert other.state is State.UNKNOWN and not other.key and other.running is not None
    newer = asked(now.st_ino, now.st_mtime - 1)
    assert newer.state is State.UNKNOWN and newer.running is None


@pytest.mark.parametrize("link", [b"", b"../../etc/passwd\0\0\0\0\0\0\0\0", b"\xff\xfe\0\0abcd", b"x", b"name\0"])
def test_links_that_lead_elsewhere(stripped: Path, tmp_path: Path, link: bytes) -> None:
    content = tmp_path / "link"
    content.write_bytes(link or b"\0")
    run("objcopy", "--add-section", f".gnu_debuglink={content}", str(stripped))
    symbols = found(stripped).symbols()
    assert symbols is not None and symbols.path == stripped
