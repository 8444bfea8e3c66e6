"""What is shipped: the wheel's contents, the desktop's files, and installing for the current user."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from helpers.environment import ROOT

PACKAGING = ROOT / "packaging"
APP = "org.tailflame.Tailflame"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_installs_three_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/", 1)[0] for name in names}
    assert {t for t in top if not t.endswith(".dist-info")} == {"tailflame", "tailflame_gui", "tailflame_resources"}
    assert "tailflame/py.typed" in names
    assert any(name.startswith("tailflame_resources/fonts/") for name in names)
    assert any(name.startswith("tailflame_resources/sample/") for name in names)
    assert not any("/target/" in name or "__pycache__" in name for name in names)


def test_the_wheel_has_every_module_and_starts(wheel: Path, tmp_path: Path) -> None:
    """hatchling leaves out of its package what is also put elsewhere."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for source in ("core", "gui", "resources"):
        for module in (ROOT / source).glob("tailflame*/**/*.py"):
            assert (tmp_path / module.relative_to(ROOT / source)).is_file(), module
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import tailflame_gui.wiring as w; print(w.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


def test_the_wheel_has_both_commands(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    entry = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(archive.read(entry).decode())
    assert parser["console_scripts"]["tailflame"] == "tailflame.cli.main:main"
    assert parser["gui_scripts"]["tailflame-gui"] == "tailflame_gui.app:main"


def test_every_dependency_has_a_range_and_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    dependencies = tomllib.loads(text)["project"]["dependencies"]
    lines = text.splitlines()
    for dependency in dependencies:
        assert ">=" in dependency and "<" in dependency, dependency
        at = next(i for i, line in enumerate(lines) if f'"{dependency}"' in line)
        assert lines[at - 1].strip().startswith("#"), f"{dependency} has no reason above it"


@pytest.mark.tool("desktop-file-validate")
def test_the_desktop_entry_is_valid() -> None:
    done = subprocess.run(
        ["desktop-file-validate", str(PACKAGING / f"{APP}.desktop")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.tool("appstreamcli")
def test_the_appstream_metadata_is_valid() -> None:
    done = subprocess.run(
        ["appstreamcli", "validate", "--no-net", str(PACKAGING / f"{APP}.metainfo.xml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_same_file_types_everywhere() -> None:
    mime = ET.parse(PACKAGING / f"{APP}.mime.xml").getroot()
    defined = {m.get("type") for m in mime if m.tag.endswith("mime-type")}
    entry = configparser.ConfigParser(interpolation=None)
    entry.optionxform = str  # type: ignore[method-assign, assignment]
    entry.read(PACKAGING / f"{APP}.desktop")
    opened = set(filter(None, entry["Desktop Entry"]["MimeType"].split(";")))
    metainfo = ET.parse(PACKAGING / f"{APP}.metainfo.xml").getroot()
    provided = {e.text for e in metainfo.iter("mediatype")}
    assert defined == opened == provided


def test_icons_come_in_every_size() -> None:
    sizes = {int(p.stem.rpartition("-")[2]) for p in (PACKAGING / "icons").glob("tailflame-*.png")}
    assert sizes == {16, 24, 32, 48, 64, 128, 256, 512}
    for path in (PACKAGING / "icons").glob("tailflame-*.png"):
        width = int.from_bytes(path.read_bytes()[16:20], "big")
        assert width == int(path.stem.rpartition("-")[2])


@pytest.mark.tool("update-mime-database")
@pytest.mark.tool("update-desktop-database")
def test_mime_types_tell_our_files_apart(tmp_path: Path) -> None:
    """The shared-mime-info database accepts our types (its compiler says so) and lists their magic."""
    data = tmp_path / "share"
    packages = data / "mime" / "packages"
    packages.mkdir(parents=True)
    shutil.copy(PACKAGING / f"{APP}.mime.xml", packages)
    done = subprocess.run(["update-mime-database", str(data / "mime")], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr
    magic = (data / "mime" / "magic").read_bytes()
    assert b"application/x-perf-data" in magic and b"PERFILE2" in magic
    assert "application/x-hdr-histogram-log:*.hlog" in (data / "mime" / "globs").read_text()


@pytest.mark.timeout(600)
def test_install_and_uninstall_leave_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home with blank"
    home.mkdir()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    environ |= {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local" / "share")}
    if "PIP_CACHE_DIR" not in environ:
        environ["PIP_CACHE_DIR"] = str(Path.home() / ".cache" / "pip")

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)

    done = run(sys.executable, str(PACKAGING / "install.py"), "install")
    assert done.returncode == 0, done.stdout + done.stderr
    entry = (home / ".local/share/applications" / f"{APP}.desktop").read_text()
    program = re.search(r'^Exec="?([^"%]+?)"? %F$', entry, re.MULTILINE)
    assert program and Path(program[1]).exists(), entry
    version = run(str(home / ".local/bin/tailflame"), "--version")
    assert version.returncode == 0 and "0.1.0" in version.stdout
    assert (home / ".local/share/icons/hicolor/48x48/apps" / f"{APP}.png").exists()

    kept = home / ".local/share/tailflame/profiles"
    kept.mkdir(parents=True)
    assert run(sys.executable, str(PACKAGING / "install.py"), "uninstall").returncode == 0
    assert not (home / ".local/bin/tailflame").is_symlink()
    assert not list((home / ".local/share/applications").glob("*tailflame*"))
    assert not list((home / ".local/share/icons").rglob("*.png"))
    assert not (home / ".local/share/tailflame/venv").exists()
    assert kept.exists()
    assert "nothing to take away" in run(sys.executable, str(PACKAGING / "install.py"), "uninstall").stdout
