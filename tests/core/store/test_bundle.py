"""A measurement in one file: it comes out as it went in, and nothing hostile comes out at all."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.recordings import recording, same
from tailflame.errors import StoreError, TailflameError
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.store import Library, bundle
from tailflame.store.bundle import MANIFEST, contents, is_bundle, read_bundle, write_bundle
from tailflame.store.iterations import Iterations


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A bundle of two sessions and the measurement that they are of."""
    library = Library(tmp_path / "here")
    infos = []
    for stacks in ("main;work 7", "main;work 9;log 2"):
        session = library.new_session(tool="perf", binary="/opt/engine")
        session.complete(recording(stacks))
        infos.append(library.session(session.path.name))
    iterations = Iterations(library.root)
    made = iterations.create(project=Path("/src"), binary=Path("/opt/engine"))
    steps = tuple(Step(name="cpu", repetition=n + 1, state=StepState.DONE, session=i.id) for n, i in enumerate(infos))
    made = replace(made, steps=steps, note="before the split")
    iterations.save(made)
    path = tmp_path / "both.tailflame"
    write_bundle(path, library, sessions=infos, iterations=[made])
    return path


def test_it_comes_out_as_it_went_in(written: Path, tmp_path: Path) -> None:
    assert is_bundle(written)
    there = Library(tmp_path / "there")
    unpacked = read_bundle(written, there)
    assert len(unpacked.sessions) == 2
    same(unpacked.sessions[0].folder.load(), Library(tmp_path / "here").sessions()[-1].folder.load())
    (one,) = unpacked.iterations
    assert one.note == "before the split"
    assert {step.session for step in one.steps} == {info.id for info in unpacked.sessions}
    assert Iterations(there.root).get(one.id) == one
    again = read_bundle(written, there)
    assert len(there.sessions()) == 2 and len(Iterations(there.root).all()) == 1
    assert again.iterations == unpacked.iterations, "a second time brings nothing new"


def remade(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None], *, honest: bool = True) -> Path:
    """The bundle with other files; `honest`: sizes and sums in its manifest are those of the changed files."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != MANIFEST}
        manifest = json.loads(archive.read(MANIFEST))
    change(manifest, files)
    if honest:
        manifest["files"] = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ]
    made = path.with_name("hostile.tailflame")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(MANIFEST, json.dumps(manifest))
    return made


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/passwd", "sessions/../../evil/x", "sessions/./a/b", "sessions//a/b", "sessions\\..\\x\\y",
        "iterations/a/b.json", "iterations/x.txt", "elsewhere/x/y", "sessions/only-two", "sessions/" + "x" * 300 + "/y",
    ],
)  # fmt: skip
def test_a_name_that_leaves_its_folder_is_refused(written: Path, tmp_path: Path, name: str) -> None:
    def add(_manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        files[name] = b"evil"

    there = Library(tmp_path / "there")
    with pytest.raises(StoreError, match="would leave its folder"):
        read_bundle(remade(written, add), there)
    assert there.sessions() == () and not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m, f: m["files"].__setitem__(0, {**m["files"][0], "size": 1}), "is not as large"),
        (lambda m, f: m["files"].__setitem__(0, {**m["files"][0], "sha256": "0"}), "is not what its manifest says"),
        (lambda m, f: m["files"].pop(), "is not in its manifest"),
        (lambda m, f: m["files"].append({"name": "sessions/a/b", "size": 0, "sha256": ""}), "is missing"),
        (lambda m, f: m.__setitem__("sessions", ["../../x"]), "it has no session"),
        (lambda m, f: m.__setitem__("version", 99), "newer Tailflame"),
        (lambda m, f: m.__setitem__("files", {}), "should be a list"),
        (lambda m, f: m.__setitem__("iterations", ["nowhere"]), "no measurement"),
        (lambda m, f: m.__setitem__("sessions", [".."]), r"hostile\.tailflame is not opened: it has no session “..”"),
        (lambda m, f: m["sessions"].pop(), "belongs to nothing that its manifest lists"),
        (lambda m, f: m["iterations"].pop(), r"“iterations/.*\.json” belongs to nothing"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_manifest_says_is_refused(
    written: Path, tmp_path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None], says: str
) -> None:
    with pytest.raises(StoreError, match=says):
        read_bundle(remade(written, change, honest=False), Library(tmp_path / "there"))


@pytest.mark.parametrize("name", ["sessions/.hidden/x", "sessions/elsewhere/session.json", "iterations/.x.json"])
def test_a_file_that_belongs_to_nothing_listed_is_refused(written: Path, tmp_path: Path, name: str) -> None:
    def add(_manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        files[name] = b"x"

    with pytest.raises(StoreError, match=f"“{name}” belongs to nothing that its manifest lists"):
        contents(remade(written, add))


@pytest.mark.parametrize("name", [".hidden", "iterations", "programs"])
def test_a_session_takes_no_name_that_the_profiles_folder_needs(written: Path, tmp_path: Path, name: str) -> None:
    def rename(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        first = manifest["sessions"][0]
        manifest["sessions"][0] = name
        for old in [old for old in files if old.startswith(f"sessions/{first}/")]:
            files[old.replace(first, name)] = files.pop(old)

    there = Library(tmp_path / "there")
    with pytest.raises(StoreError, match=f"“{name}” is no name of a session"):
        read_bundle(remade(written, rename), there)
    assert there.sessions() == () and not there.root.exists()


def changed(kind: str, **fields: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Other fields in the last file of that kind, "iterations/" or "session.json"."""

    def change(_manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        name = [name for name in files if kind in name][-1]
        files[name] = json.dumps({**json.loads(files[name]), **fields}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed("iterations/", goal_values=[float("inf")]), "finite numbers"),
        (changed("iterations/", goal_values=[1e300]), "finite numbers"),
        (changed("iterations/", number=-5), "from 1 to"),
        (
            changed("iterations/", started_at="9999-01-01T00:00:00+00:00"),
            "measured on 9999-01-01, which is yet to come",
        ),
        (changed("iterations/", version=99), "newer Tailflame"),
        (changed("session.json", created_at="9999-01-01T00:00:00+00:00"), "9999-01-01, which is yet to come"),
        (changed("session.json", state="recorded"), "no finished session"),
        (changed("session.json", state="odd"), "a known state"),
        (changed("session.json", version=99), "newer Tailflame"),
    ],
)
def test_where_one_part_is_refused_nothing_is_adopted(
    written: Path, tmp_path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None], says: str
) -> None:
    there = Library(tmp_path / "there")
    with pytest.raises(StoreError, match=says) as refused:
        read_bundle(remade(written, change), there)
    assert refused.value.sentence.startswith(f"{tmp_path / 'hostile.tailflame'}: ")
    assert "tailflame-bundle-" not in str(refused.value), "nobody knows the folder that it was unpacked to"
    assert refused.value.advice and refused.value.sentence.count(". ") == 0
    assert there.sessions() == () and Iterations(there.root).all() == ()


def test_what_was_adopted_before_a_fault_is_taken_away_again(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Library(tmp_path / "there")
    own = there.new_session(tool="perf", binary="/opt/engine")
    own.complete(recording("main;work 7"))

    def full(self: Iterations, iteration: Iteration) -> None:
        raise StoreError(f"{self.root} cannot be written: No space left on device.")

    with monkeypatch.context() as without_room:
        without_room.setattr(Iterations, "save", full)
        with pytest.raises(StoreError, match="No space left"):
            read_bundle(written, there)
    assert [info.id for info in there.sessions()] == [own.id] and Iterations(there.root).all() == ()
    read_bundle(written, there)
    (one,) = Iterations(there.root).all()
    damaged = there.root / "iterations" / f"{one.id}.json"
    damaged.write_text("{")
    with pytest.raises(StoreError, match=f"{one.id}.json is damaged"):
        read_bundle(written, there)
    assert len(there.sessions()) == 3 and damaged.exists(), "what was here before stays"


def test_a_link_is_refused(written: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        names = {name: archive.read(name) for name in archive.namelist()}
    made = tmp_path / "link.tailflame"
    with zipfile.ZipFile(made, "w") as archive:
        for at, (name, data) in enumerate(names.items()):
            info = zipfile.ZipInfo(name)
            info.external_attr = ((stat.S_IFLNK if at == 0 else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, data)
    with pytest.raises(StoreError, match="is no plain file"):
        read_bundle(made, Library(tmp_path / "there"))


def swollen(written: Path, size: int) -> Path:
    """The bundle with a file of so many zeros in one of its sessions."""

    def add(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        files[f"sessions/{manifest['sessions'][0]}/perf.data"] = bytes(size)

    return remade(written, add)


def test_what_unpacks_to_nearly_nothing_but_zeros_is_refused(written: Path, tmp_path: Path) -> None:
    there = Library(tmp_path / "there")
    with pytest.raises(StoreError, match=r"hostile\.tailflame is not opened: it unpacks to 70\.0? MB, from"):
        read_bundle(swollen(written, 70_000_000), there)
    assert there.sessions() == ()


def test_a_bomb_in_parts_that_claims_to_be_packed_loosely_is_refused(written: Path, tmp_path: Path) -> None:
    def add(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        for part in range(8):
            files[f"sessions/{manifest['sessions'][0]}/{part}.txt"] = bytes(10_000_000)

    made = remade(written, add)
    data = bytearray(made.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:  # the directory at the end says of each file that it takes a megabyte
        data[at + 20 : at + 24] = (1_000_000).to_bytes(4, "little")
        at = data.find(b"PK\x01\x02", at + 4)
    made.write_bytes(data)
    with pytest.raises(StoreError, match="it unpacks to 80"):
        contents(made)


def test_small_files_may_be_packed_as_tightly_as_they_like(written: Path, tmp_path: Path) -> None:
    assert len(read_bundle(swollen(written, 20_000_000), Library(tmp_path / "there")).sessions) == 2


def test_a_large_log_that_repeats_itself_is_no_bomb(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_SMALL", 1 << 20)

    def add(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        lines = b"".join(b"total_us=%d\n" % (100 + n % 100) for n in range(300_000))
        files[f"sessions/{manifest['sessions'][0]}/stdout.txt"] = lines

    assert len(read_bundle(remade(written, add), Library(tmp_path / "there")).sessions) == 2


def test_what_would_not_be_opened_is_not_written(tmp_path: Path) -> None:
    library = Library(tmp_path / "here")
    session = library.new_session(tool="perf", binary="/opt/engine")
    session.complete(recording("main;work 7"))
    with (session.path / "stdout.txt").open("wb") as stream:
        stream.truncate(70_000_000)
    with pytest.raises(StoreError, match="of nearly nothing") as refused:
        write_bundle(tmp_path / "x.tailflame", library, sessions=library.sessions())
    assert f"sessions/{session.id}/stdout.txt" in refused.value.advice
    assert not (tmp_path / "x.tailflame").exists()


def test_a_bomb_is_refused_before_it_goes_off(written: Path, tmp_path: Path) -> None:
    def swell(_manifest: dict[str, Any], files: dict[str, bytes]) -> None:
        name = next(name for name in files if name.startswith("sessions/"))
        files[name + ".more"] = b"x"

    made = remade(written, swell)
    data = made.read_bytes()
    with zipfile.ZipFile(made) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(".more"))
    assert info.file_size == 1
    # The directory at the end says 4 GB of what is one byte.
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(info.filename.encode()))
    swollen = data[: at + 24] + (4_000_000_000).to_bytes(4, "little") + data[at + 28 :]
    made.write_bytes(swollen)
    with pytest.raises(StoreError):
        read_bundle(made, Library(tmp_path / "there"))


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"no zip at all", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_bundle_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tailflame"
    path.write_bytes(data)
    assert not is_bundle(path)
    with pytest.raises(StoreError):
        read_bundle(path, Library(tmp_path / "there"))


def test_a_name_that_is_not_the_text_it_says_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tailflame"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é", "x")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    assert not is_bundle(path)
    with pytest.raises(StoreError, match="cannot be opened as a bundle"):
        read_bundle(path, Library(tmp_path / "profiles"))


def test_truncated_anywhere_it_is_a_sentence(written: Path, tmp_path: Path) -> None:
    data = written.read_bytes()
    cut = tmp_path / "cut.tailflame"
    for end in range(0, len(data), max(len(data) // 40, 1)):
        cut.write_bytes(data[:end])
        with pytest.raises(StoreError):
            read_bundle(cut, Library(tmp_path / "there"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_changed_byte_makes_it_fail_otherwise(changes: list[tuple[float, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        library = Library(folder / "here")
        session = library.new_session(tool="perf", binary="/opt/engine")
        session.complete(recording("main;work 7"))
        path = folder / "one.tailflame"
        write_bundle(path, library, sessions=[library.session(session.path.name)])
        whole = bytearray(path.read_bytes())
        for place, value in changes:
            whole[int(place * len(whole))] = value
        path.write_bytes(bytes(whole))
        try:
            read_bundle(path, Library(folder / "there"))
        except TailflameError as error:
            assert error.sentence


def test_a_session_that_is_not_read_yet_is_not_packed(tmp_path: Path) -> None:
    library = Library(tmp_path / "here")
    session = library.new_session(tool="perf", binary="/opt/engine")
    with pytest.raises(StoreError, match="is not read yet"):
        write_bundle(tmp_path / "x.tailflame", library, sessions=[library.session(session.path.name)])
    assert not (tmp_path / "x.tailflame").exists()
