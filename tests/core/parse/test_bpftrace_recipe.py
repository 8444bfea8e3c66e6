"""Recipes: what they say of themselves, and that nothing a caller gives becomes program text by accident."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.environment import ROOT
from tailflame.parse import bpftrace_recipe
from tailflame.parse.bpftrace_bundled import recipe_named, recipes
from tailflame.parse.bpftrace_recipe import Recipe, compose, plain_path, read, values_of

EACH = pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
GIVEN = {"file": "/opt/engine", "symbol": "_ZN4book5matchE"}


def known(recipe: Recipe) -> dict[str, object]:
    return {one.name: GIVEN.get(one.kind, one.default) for one in recipe.parameters}


def test_the_questions_of_the_gallery() -> None:
    names = {recipe.name for recipe in recipes()}
    assert names == {
        "syscalls", "off-cpu", "run-queue", "switches", "latency", "calls", "page-faults", "malloc", "block-io",
        "tcp-retransmits", "cpu",
    }  # fmt: skip
    assert {recipe.name for recipe in recipes() if recipe.machine_wide} == {"block-io", "tcp-retransmits"}
    assert [recipe.name for recipe in recipes() if recipe.instead] == ["latency"]
    assert recipe_named("nosuch") is None


@EACH
def test_a_recipe_says_what_it_asks_and_costs(recipe: Recipe) -> None:
    assert recipe.question.endswith("?") and recipe.cost.endswith(".") and recipe.needs and recipe.maps
    assert not recipe.note or recipe.note.endswith(".")
    assert all(parameter.tip.endswith(".") and parameter.title for parameter in recipe.parameters)
    named = set(re.findall(r"@\w+", recipe.text))
    assert named == {one.name for one in recipe.maps} | set(recipe.hidden), "each map is described, or hidden"


@EACH
@pytest.mark.parametrize("pid", [None, 4711])
def test_a_program_is_filled_in_and_says_what_it_is(recipe: Recipe, pid: int | None) -> None:
    program = compose(recipe, known(recipe), pid=pid, machine="x86_64")
    assert "{{" not in program
    assert f"tailflame-recipe|{recipe.name}|x86_64" in program
    assert program.count("BEGIN {") == 1 and program.count("END {") <= 1
    whose = "cpid" if pid is None else "4711"
    assert recipe.machine_wide or f"== {whose}" in program
    for one in recipe.maps:
        assert (f"print({one.name});" in program) is ("stack" not in one.keys)
    assert ("/proc/%d/maps" in program) is recipe.takes_stacks


def test_numbers_lie_in_their_range() -> None:
    recipe = recipe_named("cpu")
    assert recipe is not None
    assert "profile:hz:999 " in compose(recipe, {"hertz": "999"}, pid=1, machine="x86_64")
    assert "profile:hz:99 " in compose(recipe, {}, pid=1, machine="x86_64")
    for wrong in ("0", "10001", "9 9", "1e3", "", "99}", True, None, 2.5):
        with pytest.raises(ValueError, match="Samples"):
            compose(recipe, {"hertz": wrong}, pid=1, machine="x86_64")


@pytest.mark.parametrize(
    "path", ["engine", "/a:b", '/a"b', "/a\\b", "/a\nb", "/a*", "/a/../b", "//a", "/{x}", "/$x", "", "/a\0b", "/[a]"]
)
def test_a_path_that_bpftrace_could_misread_is_refused(path: str) -> None:
    recipe = recipe_named("calls")
    assert recipe is not None
    assert not plain_path(path)
    with pytest.raises(ValueError, match="File"):
        compose(recipe, {"file": path, "symbol": "main"}, pid=1, machine="x86_64")


def test_a_path_with_a_blank_is_plain() -> None:
    assert plain_path("/opt/my engine/bin (1)")


@pytest.mark.parametrize("symbol", ["", "a b", "f*", 'f"', "f()", "1f", "f;", "f\n", "{{pid}}"])
def test_a_symbol_is_a_symbol(symbol: str) -> None:
    recipe = recipe_named("calls")
    assert recipe is not None
    with pytest.raises(ValueError, match="Function"):
        compose(recipe, {"file": "/x", "symbol": symbol}, pid=1, machine="x86_64")


def test_what_it_does_not_ask_for_is_refused() -> None:
    recipe = recipe_named("syscalls")
    assert recipe is not None
    with pytest.raises(ValueError, match="does not ask for 'pid'"):
        values_of(recipe, {"pid": "1 || 1"})


@pytest.mark.parametrize(("pid", "machine", "live_ms"), [(0, "x86_64", 1000), (True, "x86_64", 1000),
                                                         (1 << 23, "x86_64", 1000), (1, 'x"', 1000),
                                                         (1, "x86_64", 1), (1, "x86_64", 10**6)])  # fmt: skip
def test_the_rest_is_checked_too(pid: int, machine: str, live_ms: int) -> None:
    recipe = recipe_named("syscalls")
    assert recipe is not None
    with pytest.raises(ValueError, match=r"pid|machine|interval"):
        compose(recipe, {}, pid=pid, machine=machine, live_ms=live_ms)


@given(st.text(), st.text(), st.text())
def test_nothing_that_is_given_becomes_text_of_the_program(file: str, symbol: str, number: str) -> None:
    """Whatever is let through stands within the quotes that are there for it, or is a number."""
    recipe = recipe_named("calls")
    assert recipe is not None
    plain = compose(recipe, {"file": "/F", "symbol": "S"}, pid=7, machine="x86_64")
    try:
        program = compose(recipe, {"file": file, "symbol": symbol}, pid=7, machine="x86_64")
    except ValueError:
        pass
    else:
        assert program == plain.replace('"/F":"S"', f'"{file}":"{symbol}"')
        assert not set('"\\\n:') & {*file, *symbol}
    off_cpu = recipe_named("off-cpu")
    assert off_cpu is not None
    try:
        program = compose(off_cpu, {"least_us": number}, pid=7, machine="x86_64")
    except ValueError:
        return
    assert re.fullmatch(r"-?[0-9]+", number)
    assert f"(uint64){int(number)} * 1000" in program


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN { exit(); }\n",
        "// title: X\nBEGIN {}\n",
        "// title: X\n// question: Y?\n// param: a | b | c\n",
        "// title: X\n// question: Y?\n// map: calls | a | b | c\n",
        "// title: X\n// question: Y?\nBEGIN { {{z}} }\n",
        "// title: X\n// question: Y?\n// param: n | number | 1 | x | 3 | | N | T.\n",
    ],
)
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read("x", text)


def test_a_choice_has_its_own_words() -> None:
    header = "// title: X\n// question: Y?\n// param: side | choice | both | both,user | | | Side | Which.\n"
    text = f"{header}BEGIN {{ {{{{side}}}} }}\n"
    recipe = read("x", text)
    assert recipe.parameters[0].words == ("both", "user")
    assert values_of(recipe, {"side": "user"}) == {"side": "user"}
    with pytest.raises(ValueError, match="one of both, user"):
        values_of(replace(recipe), {"side": "kernel"})


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    """The helper, which runs as root, takes it along."""
    path = Path(bpftrace_recipe.__file__)
    code = "import runpy, sys; runpy.run_path(sys.argv[1])"
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(path)], check=True)
    assert (ROOT / "packaging" / "helper" / "bpftrace_recipe.py").resolve() == path.resolve()
