from __future__ import annotations

import pytest

from tailflame.analyse.names import match_key, module_label, plain, short


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("core::fmt::write::h0123456789abcdef", "core::fmt::write"),
        ("foo::h0123456789abcdef.llvm.1234567890", "foo"),
        ("alloc[6fa0f1a9c6a5d4ce]::vec::Vec<core[0123456789abcdef]::Opt>", "alloc::vec::Vec<core::Opt>"),
        ("hash::hello", "hash::hello"),
        ("process.cold", "process.cold"),
        ("[unknown]", "[unknown]"),
        ("[u8; 16]::len", "[u8; 16]::len"),
    ],
)
def test_plain_names_survive_a_rebuild(raw: str, name: str) -> None:
    assert plain(raw) == name


def test_matching_also_ignores_addresses_and_clones() -> None:
    assert match_key("finish_task_switch.isra.0") == match_key("finish_task_switch")
    assert match_key("0x7f12ab34cd56") == match_key("0x55aa11ff2233") == match_key("[7f12ab34cd56]")
    assert match_key("handler 0xdeadbeef") == match_key("handler 0x1")
    assert match_key("main") != match_key("main.cold")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("trading_system::order_book::OrderBook::match_order", "OrderBook::match_order"),
        ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", "Vec::drop"),
        ("core::iter::Map<I,F>::fold", "Map::fold"),
        ("std::rt::lang_start::{{closure}}", "rt::lang_start::{closure}"),
        ("main", "main"),
        ("[libc.so.6]", "[libc.so.6]"),
    ],
)
def test_short_names_keep_what_a_reader_looks_for(name: str, label: str) -> None:
    assert short(name) == label


def test_a_frame_without_a_name_is_shown_as_one() -> None:
    assert short("") == short(" ") == "(no name)"
    assert plain("") == match_key("") == ""


def test_module_label() -> None:
    assert module_label("/usr/lib/libc.so.6") == "libc.so.6"
    assert module_label("[kernel.kallsyms]") == "[kernel.kallsyms]"


def test_matching_knows_one_place_of_libc_by_its_names() -> None:
    assert match_key("__memcpy_avx512_unaligned_erms") == match_key("__memmove_avx512_unaligned_erms")
    assert match_key("__GI___clock_gettime") == match_key("clock_gettime@@GLIBC_2.17") == match_key("clock_gettime")
    assert match_key("__GI_memchr") == match_key("memchr@GLIBC_2.2.5")
    assert match_key("__memcpy_chk") != match_key("__memmove_chk"), "those are two functions"
    assert match_key("user@example") == "user@example"
