"""Whether a program brings jemalloc along, tried on programs that are compiled here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tailflame.host.jemalloc import Jemalloc, jemalloc_of, preload_library

# A stand-in for the library: what it is known by, under a prefix or none.
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
int PREFIXmallctl(void) { return puts("<jemalloc>: Invalid conf pair"); }
void *PREFIXmalloc(size_t n) { static char pool[4096]; (void)n; return pool; }
const char *volatile PREFIXname = "VARIABLE";
int main(void) { return PREFIXmallctl() && getenv(PREFIXname) && PREFIXmalloc(1); }
"""


def built(folder: Path, prefix: str, *, strip: bool = False) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source, program = folder / "engine.c", folder / "engine"
    source.write_text(LIBRARY.replace("VARIABLE", f"{prefix.upper()}MALLOC_CONF").replace("PREFIX", prefix))
    subprocess.run(["gcc", "-O1", "-w", *(["-s"] if strip else []), "-o", str(program), str(source)], check=True)
    return program


@pytest.mark.parametrize("prefix", ["", "je_", "_rjem_"])
def test_a_program_that_links_it_is_told_by_a_symbol(tmp_path: Path, prefix: str) -> None:
    found = jemalloc_of(built(tmp_path, prefix))
    assert found == Jemalloc(prefix, static=True, named=not prefix)
    assert found.variable == f"{prefix.upper()}MALLOC_CONF"
    assert found.hidden_from_preloading
    assert found.hidden_from_valgrind == bool(prefix)


@pytest.mark.parametrize("prefix", ["", "_rjem_"])
def test_a_stripped_one_by_its_messages(tmp_path: Path, prefix: str) -> None:
    found = jemalloc_of(built(tmp_path, prefix, strip=True))
    assert found is not None
    assert (found.prefix, found.static) == (prefix, True)


@pytest.mark.skipif(preload_library() is None, reason="libjemalloc is not installed")
def test_a_library_of_the_loader_is_no_part_of_the_program(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source = tmp_path / "engine.c"
    source.write_text("int main(void) { return 0; }")
    library = str(preload_library())
    argv = ["gcc", "-Wl,--no-as-needed", "-o", str(tmp_path / "engine"), str(source), library]
    subprocess.run(argv, check=True)
    found = jemalloc_of(tmp_path / "engine")
    assert found == Jemalloc("", static=False, named=True)
    assert not found.hidden_from_valgrind
    assert not found.hidden_from_preloading


def test_others_have_none(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nexec engine <jemalloc>: \n")
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100) + b"\0_rjem_mallctl\0")
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert jemalloc_of(script) is None
    assert jemalloc_of(broken) is None
    assert jemalloc_of(empty) is None
    assert jemalloc_of(tmp_path) is None
    assert jemalloc_of(tmp_path / "absent") is None
    true = shutil.which("true")
    assert true is None or jemalloc_of(Path(true)) is None
