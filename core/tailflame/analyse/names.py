"""Names of functions and modules: what makes two of them the same, and their short forms."""

from __future__ import annotations

import re
from functools import lru_cache

# rustc's legacy mangling leaves a hash behind its path: `core::fmt::write::h0123456789abcdef`.
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}(?=$|\.|\))")
# v0 mangling carries the crate's disambiguator: `alloc[6fa0f1a9c6a5d4ce]::vec::Vec`.
_DISAMBIGUATOR = re.compile(r"(?<=\w)\[[0-9a-f]{12,16}\](?=::|$|>)")
# LLVM renames symbols it promotes between units: `foo.llvm.1234567890`.
_LLVM = re.compile(r"\.llvm\.\d+")
# GCC's clones: `foo.isra.0`, `foo.constprop.1`, `foo.part.3`. `.cold` stays: it is another place.
_CLONE = re.compile(r"\.(?:isra|constprop|part|lto_priv)\.\d+")
# One place of libc under several names, of which perf and its readers pick different ones: the versioned name, glibc's
# internal one, and memcpy where it is memmove ("__memcpy_avx512_unaligned_erms" is an alias of "__memmove_…").
_VERSION = re.compile(r"@@?[A-Z][A-Z0-9_]*(?:_[0-9.]+)?$")
_INTERNAL = re.compile(r"^__GI_(?:__(?=[a-z]))?")
_COPY = re.compile(r"^__memcpy_(?=avx|sse|evex|erms|ssse)")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_BARE_ADDRESS = re.compile(r"^\[?(?:0x)?[0-9a-f]{8,16}\]?$")

NAMELESS = "(no name)"
"""How a frame without a name is shown: folded stacks may hold some (";;main 3")."""


@lru_cache(maxsize=200_000)
def plain(name: str) -> str:
    """`name` without what changes from build to build but is the same function: hashes and disambiguators."""
    if "::h" in name:
        name = _RUST_HASH.sub("", name)
    if "[" in name:
        name = _DISAMBIGUATOR.sub("", name)
    return _LLVM.sub("", name) if ".llvm." in name else name


@lru_cache(maxsize=200_000)
def match_key(name: str) -> str:
    """What two recordings match functions by: `plain`, no address or compiler clone number, and one name of libc's."""
    name = plain(name)
    if "@" in name:
        name = _VERSION.sub("", name)
    if name.startswith("__"):
        name = _COPY.sub("__memmove_", _INTERNAL.sub("", name))
    if "0x" in name:
        name = _ADDRESS.sub("0x", name)
    if _BARE_ADDRESS.match(name):
        return "0x"
    return _CLONE.sub("", name) if "." in name else name


def module_label(module: str) -> str:
    """The last component of a module's path; bracketed names stay: "[kernel.kallsyms]"."""
    return module.rsplit("/", 1)[-1] if not module.startswith("[") else module


@lru_cache(maxsize=200_000)
def short(name: str) -> str:
    """The last two path components, without arguments: "OrderBook::match_order"; generics become <…>."""
    if not name.strip():
        return NAMELESS
    text = _without_brackets(plain(name))
    parts = [p for p in text.split("::") if p]
    if not parts:
        return name
    if parts[-1] == "{closure}" and len(parts) > 2:
        return "::".join(parts[-3:])
    return "::".join(parts[-2:])


def _without_brackets(name: str) -> str:
    """Folds generic arguments and parameter lists; `<T as Trait>::f` keeps its type."""
    if name.startswith("<"):
        inner, end = _balanced(name)
        if end < len(name):
            kept = inner.split(" as ", 1)[0].lstrip("&").removeprefix("mut ").removeprefix("dyn ")
            return _without_brackets(kept) + _without_brackets(name[end:])
    folded: list[str] = []
    depth = 0
    for char in name.replace("{closure#", "{closure").replace("{{closure}}", "{closure}").replace("->", "→"):
        if char in "<(":
            if depth == 0 and char == "<" and folded:
                folded.append("<…>")
            depth += 1
        elif char in ">)" and depth:
            depth -= 1
        elif not depth:
            folded.append(char)
    text = re.sub(r"\{closure\d*\}", "{closure}", "".join(folded))
    return text.replace("::<…>", "").replace("<…>", "").rstrip() or name


def _balanced(name: str) -> tuple[str, int]:
    """The inside of the leading <...> and the index after it."""
    depth = 0
    for index, char in enumerate(name):
        if char == "<":
            depth += 1
        elif char == ">" and name[index - 1] != "-":
            depth -= 1
            if depth == 0:
                return name[1:index], index + 1
    return name, len(name)
