from __future__ import annotations

from datetime import datetime

from helpers.stacks import profile
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.reading import cautions, facts, read
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.model import Caution, Event, Machine, Meta, Recording, StackBuilder, StackProfile
from tailflame.units import Unit


def recording(data: StackProfile, **meta: object) -> Recording:
    return Recording("perf record", "perf.data", "perf.data", (data,), Meta(**meta))  # type: ignore[arg-type]


def test_the_three_readings_name_the_right_functions() -> None:
    tree = build_tree(
        profile(
            "main;run;x::wide;x::leaf 40\nmain;run;x::wide 5\nmain;run;a;b;c;d;e;deep 35\n"
            "main;run;x::other;x::leaf 15\nmain;idle 5"
        )
    )
    sentences = read(tree)
    by_heading = {
        h: [s.function for s in sentences if s.heading == h] for h in ("Wide bars", "Flat tops", "Tall stacks")
    }
    assert by_heading["Wide bars"][0] == "x::leaf"
    assert by_heading["Flat tops"] == ["x::leaf", "deep", "x::wide"]
    assert by_heading["Tall stacks"][0] == "deep"
    text = [s.text for s in sentences]
    assert "x::leaf is on top of the stack for 55.0%, at 2 places." in text
    assert "6 calls in a row, from a to deep, pass on nearly all of their 35.0%: candidates for inlining." in text
    assert "x::wide and what it calls take 45.0%, 5.0% of it in the function itself." in text
    for sentence in sentences:
        assert tree.name(sentence.node) == sentence.function


INLINES = """
    main;risk;check 8
    main;risk;check;iter_[i];abs_[i] 10
    main;risk;check;iter_[i];max_[i] 4
    main;risk;check;iter_[i];log;write 5
    main;book;abs_[i] 20
    main;book;find 53
"""


def test_inlined_code_counts_for_the_function_it_is_in_as_among_the_hotspots() -> None:
    data = profile(INLINES)
    sentences = read(build_tree(data))
    flat = {s.function: s.text for s in sentences if s.heading == "Flat tops"}
    table = hotspots(data)
    assert list(flat) == [table.key[row] for row in table.hottest(3)] == ["find", "check", "book"]
    assert flat["check"] == (
        "check is on top of the stack for 22.0%, at one place: "
        "8.0% in its own code, 14.0% in code inlined into it (abs 10.0%)."
    )
    assert flat["book"].endswith(" 20.0%, at one place: all of it in code inlined into it (abs).")
    assert flat["find"] == "find is on top of the stack for 53.0%, at one place."
    wide = {s.function: s.text for s in sentences if s.heading == "Wide bars"}
    assert wide["book"] == (
        "book and what it calls take 73.0%, 20.0% of it in the function itself and the code inlined into it."
    )


def test_readings_are_the_same_where_inlined_frames_are_folded_away() -> None:
    data = profile(INLINES)
    folded = read(build_tree(data, TreeOptions(inlines=False)))
    shares = {s.function: s.text.split(",")[0] for s in read(build_tree(data)) if s.heading == "Flat tops"}
    assert {s.function: s.text.split(",")[0] for s in folded if s.heading == "Flat tops"} == shares


def test_what_is_inlined_already_is_no_call_to_inline() -> None:
    inlined = "main;a;b_[i];c_[i];d_[i];e_[i];f 40\nmain;other 60"
    assert not any("in a row" in s.text for s in read(build_tree(profile(inlined))))
    called = "main;a;b_[i];c;d;e;f;g_[i] 40\nmain;other 60"
    text = next(s.text for s in read(build_tree(profile(called))) if "in a row" in s.text)
    assert text.startswith("5 calls in a row, from a to f,")


def test_an_inlined_root_stands_for_itself() -> None:
    flat = [s for s in read(build_tree(profile("lost_[i];more_[i] 10"))) if s.heading == "Flat tops"]
    assert [s.function for s in flat] == ["lost"]


def test_an_empty_tree_has_nothing_to_say() -> None:
    assert read(build_tree(StackBuilder().build())) == ()


def test_facts_have_units_and_leave_out_what_is_unknown() -> None:
    lines = dict(
        facts(
            recording(
                profile("main: A 1500"),
                command=("./engine", "--fast"),
                started_at=datetime(2026, 1, 2, 3, 4, 5),
                duration_s=12.34,
                lost=3,
                rate_asked_hz=997.0,
                rate_granted_hz=997.0,
                machine=Machine(hostname="box", cpu="EPYC", cpus=2, kernel="6.1"),
                tool_version="6.1",
            )
        )
    )
    assert lines["Command"] == "./engine --fast"
    assert lines["Duration"] == "12.3 s"
    assert lines["Samples"] == "1,500"
    assert (lines["Lost"], lines["Rate"]) == ("3", "asked 997 Hz, granted 997 Hz")
    assert lines["Machine"] == "box, EPYC, 2 CPUs"
    assert "Lost" not in dict(facts(recording(profile("A 1"))))


def test_below_a_thousand_samples_says_so() -> None:
    few = cautions(recording(profile("A 999")))
    assert few[0].text == "Too few samples: 999 samples, shares are only rough below 1,000."
    assert cautions(recording(profile("A 1000"))) == ()
    assert cautions(recording(StackBuilder().build()))[0].text == "There are no samples."
    counter = StackBuilder(events=[Event("cycles", Unit.EVENTS, has_period=True), Event("faults", Unit.EVENTS, True)])
    stack = counter.stack([counter.frame("A")])
    for at in range(40):
        counter.sample(stack, period=2_000_000, event=0, time_ns=at)
        counter.sample(stack, period=1, event=1, time_ns=at)
    (said,) = cautions(recording(counter.build()))
    assert said.text.startswith("Too few samples: 40 samples of cycles"), "40 faults of 40 were counted, one by one"
    other = recording(profile("A 5")).with_warnings(Caution("3 of 100 samples were lost."))
    assert len(cautions(other)) == 2


def test_a_wide_bar_that_only_hands_on_is_passed_over_for_its_callee() -> None:
    data = profile("start;catch_unwind;do_call;run;work 60\nstart;catch_unwind;do_call;run;other 20\nstart;idle 20")
    wide = [s.function for s in read(build_tree(data)) if s.heading == "Wide bars"]
    assert wide == ["run", "work", "other"]
    # Where there is nothing else, it is named all the same.
    alone = read(build_tree(profile("start;catch_unwind;do_call 60\nstart;idle 60")))
    assert next(s.function for s in alone if s.heading == "Wide bars") in ("do_call", "idle")
