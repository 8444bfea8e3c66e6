"""Which frames of a heap's stacks are the program's own, and which only carry its wishes to the allocator."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from tailflame.analyse.names import plain
from tailflame.model.stacks import Bool, FrameKind, FrameTable, readonly

_LIBRARY = r"(?:alloc|core|std|hashbrown|__gnu_cxx|__rustc|__cxxabiv1|allocator_api2)"
_PRIMITIVE = r"(?:str|\[[^\]]*\]|\(.*\)|[iu](?:8|16|32|64|128|size)|f32|f64|bool|char|[A-Z]\w?)"
# `alloc::raw_vec::RawVec<T>::grow_one`, `<alloc::string::String as core::fmt::Write>::write_str`,
# `<str as alloc::string::ToString>::to_string`, `void std::vector<int>::emplace_back<int>`.
_NAME = re.compile(
    rf"<*(?:&|mut |dyn |impl |\*const |\*mut )*{_LIBRARY}::"
    rf"|<(?:&|mut )*{_PRIMITIVE} as {_LIBRARY}::"
    rf"|(?:[\w:*&<> ]+ )?(?:std|__gnu_cxx)::(?!.* as )"
    r"|operator new|(?:__libc_)?(?:malloc|calloc|realloc|free|memalign|aligned_alloc|posix_memalign|valloc|pvalloc)$"
    r"|(?:x?str(?:n)?dup|x(?:m|c|re)alloc|g_(?:malloc|realloc|strdup|slice_alloc)\w*)$"
    r"|_?_r(?:ust|dl|g)_|_+rust_|(?:_rjem_)?(?:je_|mi_|tc_)\w*alloc|_?_(?:rjem_)?(?:m|re|c)alloc"
)
_FILE = re.compile(
    r"^/rustc/|(?:^|/)library/(?:std|core|alloc)/src/|/hashbrown-[\d.]+/|^/usr/include/c\+\+/|/include/c\+\+/"
)
_MODULE = re.compile(
    r"(?:^|/)(?:libc|libstdc\+\+|libc\+\+|libc\+\+abi|libm|libpthread|libdl|librt|ld-linux[\w-]*|ld-musl[\w-]*|libgcc_s"
    r"|libheaptrack_\w+|libjemalloc|libtcmalloc\w*|libmimalloc|vgpreload_\w+[\w-]*)(?:[-.][\d.]+)?\.so"
)


def own_code(frames: FrameTable) -> Bool:
    """For each frame, whether it is the program's own: no allocator, no standard library, no address without a name."""
    named = np.array([_is_own_name(name) for name in frames.strings], bool) if frames.strings else np.zeros(0, bool)
    filed = np.array([_FILE.search(name) is None for name in frames.strings], bool)
    linked = np.array([_MODULE.search(name) is None for name in frames.strings], bool)

    def of(column: Bool, index: Bool) -> Bool:
        return np.where(index >= 0, column[np.maximum(index, 0)], True) if len(column) else np.zeros(len(index), bool)

    own = of(named, frames.name) & of(filed, frames.file) & of(linked, frames.module)
    return readonly(own & (frames.kind != FrameKind.OTHER), bool)


@lru_cache(maxsize=200_000)
def _is_own_name(name: str) -> bool:
    return _NAME.match(plain(name)) is None
