"""The functions of binaries that are compiled here, and what is found of them by name."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.errors import TailflameError, TargetError
from tailflame.host.functions import demangled, functions_of, stable_name
from tailflame.host.inlined import inlined_into, inlining_caution

CPP = """
#include <cstdio>
namespace market {
template <class T> struct Book {
    T best;
    __attribute__((noinline)) T match_order(T price, int n) { return price > best ? price * n : best; }
};
__attribute__((noinline)) long match_orders(long n) { Book<long> b{n}; return b.match_order(n, 3) + puts("x"); }
}
static __attribute__((noinline)) int twin(int n) { return n + puts("y"); }
extern int other(int);
int main(int argc, char **) {
    market::Book<int> book{argc};
    return book.match_order(argc, 2) + market::match_orders(argc) + twin(argc) + other(argc);
}
"""
OTHER = """
#include <cstdio>
static __attribute__((noinline)) int twin(int n) { return n * puts("z"); }
int other(int n) { return twin(n) + 1; }
"""
RUST = """
use std::hint::black_box;
#[inline] fn tax(n: u64) -> u64 { black_box(n) * 3 + black_box(n + 1) }
#[inline(never)] fn invoice(n: u64) -> u64 { tax(n) + 1 }
pub struct Book { best: u64 }
impl Book {
    #[inline(always)] fn level_of(&self, price: u64) -> u64 { black_box(price) ^ self.best }
    #[inline(never)] pub fn match_order(&self, price: u64) -> u64 { self.level_of(price) + self.level_of(price + 1) }
    #[inline(never)] pub fn cancel(&self, price: u64) -> u64 { self.level_of(price) }
}
#[inline(never)] fn each<T: Into<u64>>(value: T) -> u64 { black_box(value.into()) }
fn main() {
    let book = Book { best: black_box(3) };
    let held: fn(u64) -> u64 = black_box(tax);
    println!("{}", book.match_order(7) + book.cancel(8) + each(1u8) + each(2u16) + held(4) + invoice(5));
}
"""


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cpp")
    (folder / "engine.cpp").write_text(CPP)
    (folder / "other.cpp").write_text(OTHER)
    argv = ["g++", "-O1", "-o", "engine", "engine.cpp", "other.cpp"]
    subprocess.run(argv, cwd=folder, check=True, timeout=60)
    return folder / "engine"


@pytest.fixture(scope="module", params=["legacy", "v0"])
def rust(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rust")
    (folder / "engine.rs").write_text(RUST)
    mangling = ["-C", f"symbol-mangling-version={request.param}"]
    if request.param == "legacy":  # rustc permits it in nightly versions only, by the letter; it is the default
        mangling = []
    argv = ["rustc", "-O", "-g", *mangling, "-o", "engine", "engine.rs"]
    subprocess.run(argv, cwd=folder, check=True, timeout=120, capture_output=True)
    return folder / "engine"


def names(binary: Path, text: str) -> list[str]:
    return [function.name for function in functions_of(binary).search(text)]


@pytest.mark.tool("g++", "c++filt", "nm")
def test_cpp_functions_are_readable_and_lie_where_nm_says(cpp: Path) -> None:
    table = functions_of(cpp)
    (found,) = table.match("market::match_orders")
    assert found.name == "market::match_orders(long)"
    listed = {
        (int(line.split()[0], 16), line.split()[2])
        for line in subprocess.run(["nm", str(cpp)], capture_output=True, text=True, check=True).stdout.splitlines()
        if line[17:18] in ("T", "t", "W")
    }
    # nm lists places in the code that are no functions too (_init, __TMC_END__): ours are all among them.
    assert {(function.address, function.symbol) for function in table} <= listed
    assert found.symbol in {symbol for _, symbol in listed}
    assert found.size > 0 and len(found.head) == min(found.size, 16)
    code = cpp.read_bytes()
    assert found.head in code


@pytest.mark.tool("g++", "c++filt")
def test_words_find_functions_best_first(cpp: Path) -> None:
    found = names(cpp, "MATCH order")
    assert found[0].endswith("match_order(int, int)")
    assert found.index("market::match_orders(long)") > 0  # its name only begins so
    assert names(cpp, "book long") == ["market::Book<long>::match_order(long, int)"]
    assert names(cpp, "no_such_function") == []
    assert len(functions_of(cpp).search("", limit=3)) == 3
    symbol = functions_of(cpp).match("market::match_orders")[0].symbol
    assert names(cpp, symbol) == ["market::match_orders(long)"]


@pytest.mark.tool("g++", "c++filt")
def test_functions_of_one_name_are_kept_apart(cpp: Path) -> None:
    twins = functions_of(cpp).match("twin(int)")
    assert len(twins) == 2 and len({twin.address for twin in twins}) == 2
    assert len(functions_of(cpp).match("match_order")) == 2


@pytest.mark.tool("g++", "c++filt", "nm")
def test_parts_of_functions_are_left_out_and_versions_found(tmp_path: Path) -> None:
    """What is jumped to must not be probed; a function that gcc gave other parameters is the one that people mean."""
    (tmp_path / "parts.cpp").write_text(
        """
        #include <stdexcept>
        #include <vector>
        template <class T> struct Book {
            __attribute__((noinline)) T match(std::vector<T> const &v, T n) {
                T sum = 0;
                for (auto x : v) sum += x * n;
                if (sum < 0) throw std::runtime_error("x");
                return sum;
            }
        };
        int main(int argc, char **) {
            Book<long> book;
            std::vector<long> v(100, 1);
            long sum = 0;
            for (int n = 0; n < argc; n++) sum += book.match(v, n);
            return sum;
        }
        """
    )
    subprocess.run(["g++", "-O2", "-o", "parts", "parts.cpp"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["nm", "parts"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    if ".cold" not in symbols or ".isra" not in symbols:
        pytest.skip("this compiler makes no parts and versions of the function")
    table = functions_of(tmp_path / "parts")
    assert not [symbol for symbol in table.symbols if symbol.endswith(".cold")]
    (found,) = table.match("Book<long>::match")
    assert found.symbol.endswith(".isra.0")


@pytest.mark.tool("rustc", "c++filt")
def test_rust_names_have_neither_hash_nor_disambiguator(rust: Path) -> None:
    table = functions_of(rust)
    (found,) = table.match("engine::Book::match_order")
    assert found.name in ("engine::Book::match_order", "<engine::Book>::match_order")
    assert table.match("Book::match_order") == table.match(found.name) == table.match(found.symbol) == (found,)
    assert table.search("match_order")[0] == table.search("book match order")[0] == found
    generic = table.search("engine each")
    assert len(generic) == 2 and len({function.symbol for function in generic}) == 2
    # The program's own come before the library's.
    own = table.search("")
    assert own[0].name.startswith("engine::") or own[0].name == "main"


@pytest.mark.tool("rustc", "c++filt")
def test_an_inlined_function_names_those_that_hold_it(rust: Path) -> None:
    table = functions_of(rust)
    assert table.match("level_of") == ()
    holders = inlined_into(rust, "level_of")
    assert {holder.rpartition("::")[2] for holder in holders} >= {"match_order", "cancel"}
    assert all(table.match(holder) for holder in holders)
    assert inlined_into(rust, "no_such_function") == ()
    assert inlined_into(rust, "") == ()
    # One that has code of its own and is inlined as well: a probe sees a part of its calls.
    caution = inlining_caution(rust, [*table.match("tax"), *table.match("match_order")])
    assert (
        "tax is also inlined into" in caution and "invoice" in caution and caution.endswith("calls there are not seen.")
    )
    assert inlining_caution(rust, table.match("match_order")) == ""


@pytest.mark.tool("gcc", "strip")
def test_what_has_no_functions_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-o", "a", "a.c"], cwd=tmp_path, check=True, timeout=60)
    subprocess.run(["strip", "a"], cwd=tmp_path, check=True, timeout=60)
    stripped = functions_of(tmp_path / "a")
    assert len(stripped) == 0 and "stripped" in stripped.reason
    assert stripped.search("main") == () and stripped.match("main") == ()
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    assert "not a compiled program" in functions_of(script).reason
    assert inlined_into(tmp_path / "a", "main") == () and inlined_into(script, "main") == ()
    with pytest.raises(TargetError):
        functions_of(tmp_path / "nothing")


def test_without_cppfilt_names_stay_mangled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert demangled(["_Z3fooi", "main"]) == (["_Z3fooi", "main"], False)
    assert demangled(["main"]) == (["main"], True)


def test_what_changes_from_build_to_build_is_left_out() -> None:
    assert stable_name("core::fmt::write::h0123456789abcdef") == "core::fmt::write"
    assert stable_name("alloc[6fa0f1a9c6a5d4ce]::vec::push") == "alloc::vec::push"
    assert stable_name("engine::run.llvm.1234567890") == "engine::run"
    assert stable_name("engine::run::h0123456789abcdef (.llvm.123)") == "engine::run"
    assert stable_name("f(int) [clone .cold]") == "f(int) [clone .cold]"


@pytest.mark.tool("gcc")
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.booleans())
def test_damaged_files_are_told_or_read_and_nothing_else(tmp_path: Path, seed: int, cut: bool) -> None:
    source, whole = tmp_path / "a.c", tmp_path / "whole"
    if not whole.exists():
        source.write_text("int f(int n) { return n; } int main(void) { return f(1); }")
        subprocess.run(["gcc", "-o", str(whole), str(source)], check=True, timeout=60)
    data = bytearray(whole.read_bytes())
    chance = random.Random(seed)
    if cut:
        data = data[: chance.randrange(4, len(data))]
    else:
        for _ in range(chance.randrange(1, 30)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        at = chance.randrange(0, 60)
        data[at + 4] = chance.randrange(256)
    broken = tmp_path / f"broken-{seed}-{cut}"
    broken.write_bytes(data)
    try:
        table = functions_of(broken)
        for function in table.search("f", limit=5):
            assert function.size >= 0
    except TailflameError:
        pass
    broken.unlink()
