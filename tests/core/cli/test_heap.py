"""A heap on the command line: sites, leaks and temporary allocations, and what changed between two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.stack_counts import DATA

Run = Callable[..., Any]
HERE = DATA / "heaptrack" / "1.4.0"


def test_show_prints_sites_leaks_and_temporary_allocations(tailflame: Run) -> None:
    run = tailflame("show", HERE / "trading.zst", "-n", "5")
    assert run.code == 0
    text = run.out
    assert "Leak: churn::remember_session (churn.rs:52) allocated 983 kB in 240 blocks" in text
    assert "Temporary allocations: 56% of the 794,464 allocations of churn::rebuild_quotes (churn.rs:14)" in text
    assert "heaptrack_print counts 446,907 as temporary: it does not see which block is freed" in text
    lines = [line.split() for line in text.splitlines()]
    assert [
        "446,886",
        "100.0%",
        "56%",
        "trading_system::churn::rebuild_quotes",
        "src/churn.rs:14",
        "trading-system",
    ] in lines


def test_show_as_json(tailflame: Run) -> None:
    heap = tailflame("show", HERE / "alloc.zst", "--json", "-n", "5").document["heap"]
    assert heap["facts"]["leaked"] == 5320
    assert heap["facts"]["suppressed"] == 3000
    assert heap["suppressions"][-1] == "known_leak"
    assert heap["pooling_candidates"] == ["temporary(int)", "keep(unsigned long)"]
    by_name = {site["name"]: site for site in heap["sites"]}
    assert by_name["temporary(int)"]["allocations"] == 1200
    assert by_name["keep(unsigned long)"]["leaked_blocks"] == 1
    assert sum(bucket["allocations"] for bucket in heap["sizes"]) == heap["facts"]["allocations"]


def test_what_changed(tailflame: Run) -> None:
    run = tailflame("diff", HERE / "alloc.zst", HERE / "trading.zst", "--json", "--fail-on-regression")
    assert run.code == 1
    heap = run.document["heap"]
    facts = {fact["name"]: (fact["before"], fact["after"]) for fact in heap["facts"]}
    assert facts["allocations"] == (1764, 894_374)
    by_name = {site["name"]: site for site in heap["sites"]}
    assert by_name["trading_system::churn::remember_session"]["leaked"] == [0, 983_040]
    assert by_name["peak()"]["peak"][1] == 0


def test_pages_and_blocks_are_not_compared(tailflame: Run) -> None:
    massif = DATA / "massif" / "3.19.0"
    run = tailflame("diff", massif / "bytes.out", massif / "pages.out", "--fail-on-regression")
    assert run.code == 3 and run.out == ""
    assert "The baseline counts what malloc hands out, the candidate mapped pages: not compared." in run.err
    alike = tailflame("diff", massif / "pages.out", massif / "pages.out")
    assert "peak of mapped pages" in alike.out and "not compared" not in alike.out


def test_two_dumps_of_jemalloc_are_compared_by_what_is_in_use(tailflame: Run) -> None:
    dump = DATA / "jemalloc" / "5.3.0" / "trading.heap.gz"
    dumps = sorted((DATA / "jemalloc" / "5.3.0" / "dumps").glob("*.heap"))
    text = tailflame("diff", dumps[0], dumps[-1]).out
    assert "in use before" in text and "peak before" not in text
    assert tailflame("diff", dump, dump).code == 0


def test_one_dump_of_jemalloc_tells_of_no_peak(tailflame: Run) -> None:
    text = tailflame("show", DATA / "jemalloc" / "5.3.0" / "trading.heap.gz", "-n", "3").out
    assert next(line.split()[:2] for line in text.splitlines() if line.split()[2:3] == ["share"]) == ["in", "use"]
    assert "peak" not in text


def test_both_times_of_a_peak_have_their_unit(tailflame: Run) -> None:
    massif = DATA / "massif" / "3.19.0"
    text = tailflame("diff", massif / "asked.out", massif / "instructions.out").out
    (line,) = [line.split() for line in text.splitlines() if line.startswith("peak at")]
    assert line[3] == "i" and line[5] == "i"
    text = tailflame("diff", HERE / "alloc.zst", HERE / "trading.zst").out
    (line,) = [line.split() for line in text.splitlines() if line.startswith("peak at")]
    assert line[3] == "s" and line[5] == "s"


def test_nothing_is_worse_than_itself(tailflame: Run) -> None:
    run = tailflame("diff", HERE / "alloc.zst", HERE / "alloc.zst", "--fail-on-regression")
    assert run.code == 0
    assert "peak before" not in run.out
