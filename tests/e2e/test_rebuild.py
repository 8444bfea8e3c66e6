"""A baseline reads identically after the compiler has overwritten its binary."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.environment import refuse
from helpers.recordings import same
from tailflame.cli.main import main
from tailflame.store import Library, load_settings, profiles_folder

pytestmark = [pytest.mark.beside, pytest.mark.tool("perf")]

C_BEFORE = """
#include <stdint.h>
volatile uint64_t sink;
__attribute__((noinline)) void price_order(void) { for (uint64_t i = 0; i < 200000; i++) sink += i * i; }
__attribute__((noinline)) void match_order(void) { for (uint64_t i = 0; i < 600000; i++) sink += i ^ sink; }
int main(void) { for (int round = 0; round < 4000; round++) { price_order(); match_order(); } return 0; }
"""
RUST_BEFORE = """
use std::hint::black_box;
#[inline(never)]
fn price_order() { for i in 0..200_000u64 { black_box(i * i); } }
#[inline(never)]
fn match_order() { for i in 0..600_000u64 { black_box(i ^ 7); } }
fn main() { for _ in 0..40_000 { price_order(); match_order(); } }
"""


def changed(source: str) -> str:
    """The same program with other names, on other lines: old symbols would resolve to nonsense."""
    return "// a new header\n" * 40 + source.replace("match_order", "walk_the_book").replace("600", "900")


def build_c(folder: Path, source: str) -> Path:
    if shutil.which("cc") is None:
        refuse("there is no C compiler")
    path = folder / "book.c"
    path.write_text(source)
    binary = folder / "book"
    subprocess.run(["cc", "-g", "-O1", "-fno-omit-frame-pointer", "-o", binary, path], check=True)
    return binary


def build_rust(folder: Path, source: str) -> Path:
    if shutil.which("cargo") is None:
        refuse("cargo is not installed")
    (folder / "src").mkdir(exist_ok=True)
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "book"\nversion = "0.1.0"\nedition = "2021"\n[profile.release]\ndebug = true\n[workspace]\n'
    )
    (folder / "src" / "main.rs").write_text(source)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--offline"], cwd=folder, check=True)
    return folder / "target" / "release" / "book"


@pytest.mark.parametrize(("build", "source"), [(build_c, C_BEFORE), (build_rust, RUST_BEFORE)])
def test_a_baseline_outlives_its_binary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], build: Callable[[Path, str], Path], source: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    binary = build(project, source)
    assert main(["record", "-d", "1", "--baseline", "--", str(binary)]) == 0
    library = Library(profiles_folder(load_settings().settings))
    baseline = library.baseline_of(binary)
    assert baseline is not None
    recording = baseline.folder.load()
    capsys.readouterr()
    assert main(["show", "baseline", "--places"]) == 0
    shown = capsys.readouterr().out
    assert "match_order" in shown
    assert baseline.manifest is not None
    assert baseline.manifest.build_id, "the build id is kept"

    source_name = {"c": "book.c", "rs": "main.rs"}["c" if build is build_c else "rs"]
    kept = {Path(file).name: lines for file, lines in baseline.folder.sources().lines.items()}[source_name]
    assert any("match_order" in text for text in kept.values())

    assert build(project, changed(source)) == binary
    assert main(["record", "-d", "1", "--", str(binary)]) == 0
    capsys.readouterr()

    assert same(baseline.folder.load(), recording)
    assert main(["show", "baseline", "--places"]) == 0
    assert capsys.readouterr().out == shown
    again = {Path(file).name: lines for file, lines in baseline.folder.sources().lines.items()}[source_name]
    assert again == kept

    assert main(["diff", "--json"]) == 0
    rows = {row["name"].split("::")[-1]: row for row in json.loads(capsys.readouterr().out)["functions"]}
    assert rows["match_order"]["samples_after"] == 0
    assert rows["walk_the_book"]["samples_before"] == 0
    assert rows["price_order"]["status"] == "both"
    (newest, *_) = library.sessions()
    assert newest.manifest is not None
    assert newest.manifest.build_id != baseline.manifest.build_id
