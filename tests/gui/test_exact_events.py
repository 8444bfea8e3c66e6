"""What was counted is called by its name in every view, and nothing cautions against too few of it."""

from __future__ import annotations

from dataclasses import replace

from pytestqt.qtbot import QtBot

from helpers import heaps
from helpers.heaps import BOOK
from helpers.results import recording, show
from tailflame.analyse.reading import cautions, facts, read
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.model import Event, HeapFacts, Recording, StackBuilder, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, PEAK, TEMPORARY
from tailflame.units import Unit
from tailflame_gui.models.figures import measure_of
from tailflame_gui.models.head import head_of
from tailflame_gui.models.hotspot_model import HotspotModel
from tailflame_gui.models.scope import Scope, amount_text, weight_for, weight_label, weights_of
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.views.flame_picture import FlameSettings, draw
from tailflame_gui.views.result_view import Part, ResultView


def of_heap() -> StackProfile:
    profile = heaps.heaptrack().profile
    assert profile is not None
    return profile


def event(name: str) -> int:
    return [one.name for one in of_heap().events].index(name)


def callgrind() -> StackProfile:
    builder = StackBuilder(events=[Event("Ir", Unit.EVENTS, has_period=True)])
    builder.sample(builder.stack([builder.frame("main"), builder.frame("hot")]), count=39_682_525)
    return builder.build()


def test_memory_is_weighed_by_bytes_and_then_by_what_was_counted() -> None:
    profile = of_heap()
    assert weights_of(profile, event(PEAK)) == (Weight.PERIOD, Weight.SAMPLES)
    assert weight_label(profile, event(PEAK), Weight.SAMPLES) == "blocks"
    assert weight_label(profile, event(ALLOCATED), Weight.SAMPLES) == "allocations"
    assert weights_of(profile, event(TEMPORARY)) == (Weight.SAMPLES,)
    massif = heaps.massif().profile
    assert massif is not None
    assert weights_of(massif, 0) == (Weight.PERIOD,), "it counts nothing but bytes"
    assert weights_of(callgrind(), 0) == (Weight.PERIOD,)
    assert weight_for(profile, event(PEAK), Scope(event=event(ALLOCATED), weight=Weight.SAMPLES)) is Weight.PERIOD


def test_an_amount_has_the_unit_of_what_was_counted() -> None:
    profile = of_heap()
    assert amount_text(profile, event(PEAK), counts=5_403, weight=8.9e6) == "8.9 MB"
    assert amount_text(profile, event(TEMPORARY), counts=20_040, weight=0) == "20,040 allocations"
    assert amount_text(callgrind(), 0, counts=39_682_525, weight=39_682_525) == "39,682,525 Ir"


def test_the_title_line_says_how_much_was_in_use() -> None:
    assert head_of(heaps.heaptrack())[1] == "heaptrack  ·  8.9 MB at the peak  ·  2.5 s"
    assert head_of(heaps.massif())[1] == "massif  ·  8.9 MB at the peak"
    bare = replace(heaps.heaptrack(), results=(heaps.timeline(facts=HeapFacts(peak=8.9e6)),))
    assert "8.9 MB at the peak" in head_of(bare)[1], "without any call tree"
    assert "39,682,525 Ir" in head_of(recording(results=(callgrind(),)))[1]


def test_no_caution_speaks_of_too_few_samples() -> None:
    assert not cautions(heaps.heaptrack()) and not cautions(heaps.massif())
    assert cautions(recording("main 3", warnings=())), "of samples it does"


def test_the_facts_of_a_heap_name_each_event_once() -> None:
    told = dict(facts(heaps.heaptrack()))
    assert told["Peak heap"] == "8.9 MB in 5,403 blocks"
    assert told["Allocated"] == "15.8 MB in 35,000 allocations"
    assert told["Temporary"] == "20,040 allocations"
    assert told["Peak RSS"] == "14.5 MB"
    names = [name for name, _value in facts(heaps.heaptrack())]
    assert len(names) == len(set(names))
    massif = dict(facts(heaps.massif()))
    assert massif["Snapshots"] == "6, 3 with a call tree"
    assert not any(name.startswith("Snapshot ") for name in massif)


def sentences(recording_: Recording, which: int, weight: Weight) -> str:
    assert recording_.profile is not None
    tree = build_tree(recording_.profile, TreeOptions(event=which, weight=weight))
    return " ".join(sentence.text for sentence in read(tree))


def test_the_reading_of_bytes_speaks_of_no_time() -> None:
    told = sentences(heaps.heaptrack(), event(PEAK), Weight.PERIOD)
    assert "OrderBook::insert itself asked for 67.4% of Peak heap, at one place." in told
    for word in ("CPU", "hottest", "on top of the stack", "inlining", "samples"):
        assert word not in told, word
    told = sentences(heaps.heaptrack(), event(ALLOCATED), Weight.SAMPLES)
    assert "feed::parse itself asked for 60.0% of the allocations of Allocated" in told
    assert "itself has 100.0% of Ir" in sentences(recording(results=(callgrind(),)), 0, Weight.PERIOD)


def test_hotspots_count_blocks_and_leave_out_what_repeats_the_weight() -> None:
    trees = ProfileTrees(of_heap())
    model = HotspotModel()
    for which, titles in ((PEAK, True), (TEMPORARY, False)):
        scope = Scope(event=event(which), weight=weights_of(trees.profile, event(which))[0])
        table = trees.hotspots(scope)
        from tailflame.analyse.hotspots import GroupBy

        model.set_table(table, by=GroupBy.FUNCTION, measure=trees.measure(scope))
        assert ("Blocks" in [column.title for column in model.columns]) is titles
        assert "Samples" not in [column.title for column in model.columns]
    assert measure_of(callgrind(), event=0, weight=Weight.PERIOD).counted == ""


def test_shares_of_what_was_counted_keep_their_digit_however_few_there_are() -> None:
    measure = measure_of(of_heap(), event=event(PEAK), weight=Weight.PERIOD)
    assert measure.share(0.123, 3) == "12.3"


def test_a_frame_says_its_blocks(qtbot: QtBot) -> None:
    from tailflame_gui import theme

    trees = ProfileTrees(of_heap())
    picture = draw(trees, FlameSettings(TreeOptions(event=event(PEAK), weight=Weight.PERIOD)), theme.light())
    node = next(n for n in range(len(picture.tree)) if picture.tree.name(n) == BOOK)
    told = dict(picture.scene.facts(node).figures)
    assert told == {"Self": "6.0 MB  ·  67.4%", "Total": "6.0 MB", "Blocks": "400"}
    massif = heaps.massif().profile
    assert massif is not None
    picture = draw(
        ProfileTrees(massif), FlameSettings(TreeOptions(event=1, weight=Weight.PERIOD)), theme.light()
    )  # fmt: skip
    assert [name for name, _figure in picture.scene.facts(0).figures] == ["Self", "Total"]


def test_every_view_of_a_heap_speaks_of_memory(qtbot: QtBot) -> None:
    view = ResultView(heaps.heaptrack())
    show(qtbot, view, 1200, 760)
    for part in (Part.SUMMARY, Part.HOTSPOTS, Part.TOP_DOWN, Part.FLAME):
        view.show_part(part)
        qtbot.waitUntil(lambda: not view.busy)
    assert view.summary._heading.text() == "Takes the most: Peak heap"
    assert view.timeline.told.whole == "8.9 MB"
    assert view.scope_bar.weight_box.currentText() == "Bytes"
    assert [view.scope_bar.weight_box.itemText(at) for at in range(2)] == ["Bytes", "Blocks"]
    view.selection.select(BOOK)
    qtbot.waitUntil(lambda: not view.busy)
    assert view.inspector.portrait is not None
    words = [cells[0].text() for cells in view.inspector._cells]
    assert "Blocks, self" in words and not any("Samples" in word for word in words)


def test_an_event_of_snapshots_is_chosen_in_the_box(qtbot: QtBot) -> None:
    view = ResultView(heaps.massif())
    show(qtbot, view, 1200, 760)
    assert [view.scope_bar.event_box.itemText(at) for at in range(3)] == [
        "Snapshot 1",
        "Snapshot 3, peak",
        "Snapshot 5",
    ]
    assert view.scope.scope == Scope(event=1, weight=Weight.PERIOD)
    view.scope_bar.event_box.setCurrentIndex(2)
    assert view.scope.scope == Scope(event=2, weight=Weight.PERIOD)
