"""Whose memory it is: what is allocated through libraries belongs to the code that asked for it."""

from __future__ import annotations

from dataclasses import replace

from helpers import heaps
from tailflame.analyse.heap_tree import allocating, site_of_nodes
from tailflame.analyse.reading import read
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame.model import Weight
from tailflame.model.heap import PEAK
from tailflame.units import Unit

GROW = "alloc::raw_vec::finish_grow"
ROWS = (
    (f"main;engine::book::grow;alloc::vec::Vec<T>::push;{GROW}", 4, 600),
    (f"main;engine::feed::read;std::fs::read;{GROW}", 2, 300),
    (f"std::rt::init;{GROW}", 1, 100),
)


def tree() -> CallTree:
    profile = heaps.profile({PEAK: (Unit.BLOCKS, True, ROWS)})
    profile = replace(profile, frames=replace(profile.frames, file=profile.frames.file * 0 - 1))
    return build_tree(profile, TreeOptions(weight=Weight.PERIOD))


def test_a_node_of_a_library_belongs_to_the_code_that_called_it() -> None:
    made = tree()
    site = site_of_nodes(made)
    told = {(made.name(node), made.name(int(site[node]))) for node in range(len(made)) if made.self_weight[node]}
    assert told == {(GROW, "engine::book::grow"), (GROW, "engine::feed::read"), (GROW, GROW)}, "libraries keep theirs"
    assert made.name(int(site[0])) == made.name(0)


def test_the_table_gives_each_function_what_it_asked_for() -> None:
    table = allocating(tree())
    assert [(table.key[row], float(table.self_weight[row])) for row in table.hottest(3)] == [
        ("engine::book::grow", 600.0), ("engine::feed::read", 300.0), (GROW, 100.0),
    ]  # fmt: skip
    assert float(table.self_weight.sum()) == table.total == 1000
    assert table.self_samples[table.row("engine::book::grow")] == 4


def test_the_reading_names_the_code_and_not_the_library() -> None:
    told = [sentence.text for sentence in read(tree())]
    assert "book::grow itself asked for 60.0% of Peak heap, at one place." in told
    assert "book::grow takes 60.0%, all of it in the function itself and libraries below it." in told


def test_an_empty_heap_has_no_sites() -> None:
    empty = build_tree(heaps.profile({PEAK: (Unit.BLOCKS, True, ())}))
    assert len(site_of_nodes(empty)) == 0
    assert len(allocating(empty)) == 0
