"""What a browser does with our graphs, played on a small stand-in for its document: hover, zoom, search."""

from __future__ import annotations

import io
import json
import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import pytest

from helpers.stacks import profile
from tailflame.report import svg

QtQml = pytest.importorskip("PySide6.QtQml", reason="the script needs a JavaScript engine")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # Qt's engine wants an application, not a display

SVG = "{http://www.w3.org/2000/svg}"

# As much of the DOM as the script uses.
DOCUMENT = """
function Element(spec, parent) {
  this.tag = spec.tag; this.attributes = spec.attributes; this.textContent = spec.text; this.parentNode = parent;
  this.children = spec.children.map((child) => new Element(child, this));
  this.listeners = {};
  const classes = new Set((spec.attributes["class"] || "").split(" "));
  this.classList = {
    toggle(name, on) { on ? classes.add(name) : classes.delete(name); },
    contains(name) { return classes.has(name); }
  };
}
Element.prototype = {
  getAttribute(name) { return name in this.attributes ? this.attributes[name] : null; },
  getAttributeNS(space, name) { return this.getAttribute("{" + space + "}" + name); },
  setAttribute(name, value) { this.attributes[name] = String(value); },
  removeAttribute(name) { delete this.attributes[name]; },
  all() { return this.children.concat(...this.children.map((child) => child.all())); },
  querySelectorAll(tag) { return this.all().filter((e) => e.tag === tag); },
  querySelector(tag) { return this.querySelectorAll(tag)[0]; },
  addEventListener(name, action) { this.listeners[name] = action; },
};
var root = new Element(SPEC, null);
root.clientWidth = 1020;
var document = { documentElement: root, getElementById: (id) => root.all().find((e) => e.attributes.id === id) };
var window = { listeners: {}, addEventListener(name, action) { this.listeners[name] = action; }, prompt: () => ASKED };
var ASKED = null;
function box(name) {
  return document.getElementById("frames").children.find((g) => g.querySelector("title").textContent.startsWith(name));
}
function state() {
  const boxes = document.getElementById("frames").children;
  const named = (name) => boxes.filter((g) => g.classList.contains(name))
    .map((g) => g.querySelector("title").textContent.split(" (")[0]).join(" ");
  return JSON.stringify({
    hidden: named("hide"), parents: named("parent"), found: named("match"),
    matched: document.getElementById("matched").textContent.trim(),
    details: document.getElementById("details").textContent.trim(),
    reset: !document.getElementById("reset").classList.contains("hide"),
    search: document.getElementById("search").textContent,
  });
}
"""


def spec(element: ET.Element) -> dict[str, Any]:
    return {
        "tag": element.tag.removeprefix(SVG),
        "attributes": dict(element.attrib),
        "text": element.text or "",
        "children": [spec(child) for child in element if child.tag != f"{SVG}script"],
    }


@dataclass
class Browser:
    engine: Any

    def run(self, code: str) -> Any:
        value = self.engine.evaluate(code)
        assert not value.isError(), f"{value.toString()} at line {value.property('lineNumber').toInt()}"
        return value

    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("state()").toString())
        return told

    def fire(self, name: str, kind: str) -> dict[str, Any]:
        self.run(f"document.getElementById('frames').listeners.{kind}({{target: box('{name}').querySelector('rect')}})")
        return self.state()

    def press(self, button: str) -> dict[str, Any]:
        self.run(f"document.getElementById('{button}').listeners.click({{}})")
        return self.state()

    def search(self, term: str) -> dict[str, Any]:
        self.run(f"ASKED = {json.dumps(term)}")
        return self.press("search")

    def rect(self, name: str) -> tuple[str, str]:
        get = "box('{}').querySelector('rect').getAttribute('{}')"
        return self.run(get.format(name, "x")).toString(), self.run(get.format(name, "width")).toString()

    def label(self, name: str) -> str:
        return str(self.run(f"box('{name}').querySelector('text').textContent").toString())


@pytest.fixture
def browser(qapp: object) -> Browser:
    stream = io.StringIO()
    svg.write(profile("main;a;hot 60\nmain;b;hot 20\nmain;b;wide_name_of_a_function 15\nother 5"), stream)
    root = ET.fromstring(stream.getvalue())
    script = root.findtext(f"{SVG}script")
    assert script
    opened = Browser(QtQml.QJSEngine())
    opened.run(f"var SPEC = {json.dumps(spec(root))};")
    opened.run(DOCUMENT)
    opened.run(script)
    return opened


def test_at_first_everything_is_shown(browser: Browser) -> None:
    state = browser.state()
    assert (state["hidden"], state["parents"], state["reset"], state["matched"]) == ("", "", False, "")
    assert browser.rect("a (") == ("0.0000%", "60.0000%")
    assert browser.label("a (") == "a"
    assert browser.label("wide") == "wide_name_of_a_fun..", "150 px hold 20 characters"


def test_hover_shows_the_title(browser: Browser) -> None:
    assert browser.fire("a (", "mouseover")["details"] == "a (60 samples, 60.00%)"
    browser.run("document.getElementById('frames').listeners.mouseout({})")
    assert browser.state()["details"] == ""


def test_a_click_zooms_to_the_frame_and_keeps_its_callers(browser: Browser) -> None:
    state = browser.fire("b", "click")
    assert state["hidden"].split() == ["other", "a", "hot"]
    assert state["parents"].split() == ["all", "main"]
    assert state["reset"]
    assert browser.rect("b") == browser.rect("main") == ("0.0000%", "100.0000%")
    assert browser.rect("wide") == ("57.1429%", "42.8571%")
    assert browser.label("wide") == "wide_name_of_a_function"


@pytest.mark.parametrize("way", ["button", "key", "root"])
def test_the_way_back(browser: Browser, way: str) -> None:
    before = browser.rect("wide")
    browser.fire("b", "click")
    if way == "button":
        browser.press("reset")
    elif way == "key":
        browser.run("window.listeners.keydown({key: 'Escape'})")
    else:
        browser.fire("all", "click")
    state = browser.state()
    assert (state["hidden"], state["parents"], state["reset"]) == ("", "", False)
    assert browser.rect("wide") == before


def test_search_marks_frames_and_adds_up_their_share_once(browser: Browser) -> None:
    state = browser.search("^(main|hot)$")
    assert state["found"].split() == ["main", "hot", "hot"]
    assert state["matched"] == "Matched: 95.0%"
    assert state["search"] == "Clear search"
    state = browser.press("search")
    assert (state["found"], state["matched"], state["search"]) == ("", "", "Search")


def test_matches_are_of_what_is_shown(browser: Browser) -> None:
    browser.search("hot")
    assert browser.state()["matched"] == "Matched: 80.0%"
    assert browser.fire("b", "click")["matched"] == "Matched: 57.1%"


def test_a_broken_expression_is_told(browser: Browser) -> None:
    state = browser.search("(")
    assert state["details"] == "Not a regular expression: ("
    assert state["found"] == ""


def test_the_find_key_asks(browser: Browser) -> None:
    browser.run("ASKED = 'other'; var stopped = 0;")
    browser.run("window.listeners.keydown({key: 'f', ctrlKey: true, preventDefault() { stopped += 1; }})")
    assert browser.state()["found"] == "other"
    assert browser.run("stopped").toInt() == 1
