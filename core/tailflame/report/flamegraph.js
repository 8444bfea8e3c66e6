// Makes a flame graph that Tailflame wrote usable in a browser: hover, zoom, search.
// The figures stand in fg:x and fg:w, in the unit of the graph; nothing is fetched or sent.
(function () {
  "use strict";
  var FG = "http://github.com/jonhoo/inferno";
  var CHARACTER = 7.2; // px of one character of the 12 px monospace font
  var find = function (id) { return document.getElementById(id); };
  var frames = find("frames");
  var details = find("details"), matched = find("matched"), reset = find("reset");
  var whole = { x: 0, w: Number(frames.getAttribute("total_samples")) };
  var view = whole, wanted = null;

  var boxes = Array.prototype.map.call(frames.querySelectorAll("g"), function (group) {
    var rect = group.querySelector("rect");
    return {
      group: group,
      rect: rect,
      text: group.querySelector("text"),
      title: group.querySelector("title").textContent,
      x: Number(rect.getAttributeNS(FG, "x")),
      w: Number(rect.getAttributeNS(FG, "w")),
      y: Number(rect.getAttribute("y"))
    };
  });
  var byGroup = new Map();
  boxes.forEach(function (box) {
    box.name = box.title.replace(/ \([^(]*\)$/, "");
    byGroup.set(box.group, box);
  });

  function place(box) {
    var left = Math.max(box.x, view.x), right = Math.min(box.x + box.w, view.x + view.w);
    var shown = right > left;
    box.group.classList.toggle("hide", !shown);
    box.group.classList.toggle("parent", shown && box.w > view.w);
    if (!shown) return;
    var x = (left - view.x) / view.w, w = (right - left) / view.w;
    box.rect.setAttribute("x", (100 * x).toFixed(4) + "%");
    box.rect.setAttribute("width", (100 * w).toFixed(4) + "%");
    box.text.setAttribute("x", (100 * x + 0.25).toFixed(4) + "%");
    var room = Math.floor((w * Number(frames.getAttribute("width")) - 6) / CHARACTER);
    box.text.textContent = room < 3 ? "" : box.name.length <= room ? box.name : box.name.slice(0, room - 2) + "..";
  }

  function draw() {
    boxes.forEach(place);
    reset.classList.toggle("hide", view === whole);
    mark();
  }

  // The share of what is shown that stands in a matching frame or under one, each part counted once.
  function mark() {
    var hits = [];
    boxes.forEach(function (box) {
      var hit = wanted !== null && wanted.test(box.name);
      box.group.classList.toggle("match", hit);
      var left = Math.max(box.x, view.x), right = Math.min(box.x + box.w, view.x + view.w);
      if (hit && right > left && !(box.w > view.w)) hits.push([left, right]);
    });
    hits.sort(function (a, b) { return a[0] - b[0] || b[1] - a[1]; });
    var sum = 0, reached = view.x;
    hits.forEach(function (hit) {
      if (hit[1] > reached) {
        sum += hit[1] - Math.max(hit[0], reached);
        reached = hit[1];
      }
    });
    matched.textContent = wanted === null ? "" : "Matched: " + (100 * sum / view.w).toFixed(1) + "%";
  }

  function search() {
    if (wanted !== null) {
      wanted = null;
    } else {
      var term = window.prompt("Regular expression to look for:", "");
      if (!term) return;
      try {
        wanted = new RegExp(term);
      } catch (error) {
        details.textContent = "Not a regular expression: " + term;
        return;
      }
    }
    find("search").textContent = wanted === null ? "Search" : "Clear search";
    mark();
  }

  function boxOf(target) {
    var group = target;
    while (group && group.parentNode !== frames) group = group.parentNode;
    return byGroup.get(group);
  }

  frames.addEventListener("click", function (event) {
    var box = boxOf(event.target);
    if (!box) return;
    view = box.w === whole.w ? whole : { x: box.x, w: box.w };
    draw();
  });
  frames.addEventListener("mouseover", function (event) {
    var box = boxOf(event.target);
    details.textContent = box ? box.title : " ";
  });
  frames.addEventListener("mouseout", function () { details.textContent = " "; });
  reset.addEventListener("click", function () { view = whole; draw(); });
  find("search").addEventListener("click", search);
  window.addEventListener("keydown", function (event) {
    if (event.key === "F3" || ((event.ctrlKey || event.metaKey) && event.key === "f")) {
      event.preventDefault();
      search();
    } else if (event.key === "Escape") {
      view = whole;
      draw();
    }
  });

  // The picture follows the window's width; its height is that of the stacks.
  document.documentElement.removeAttribute("viewBox");
  document.documentElement.setAttribute("width", "100%");
  function fit() {
    var width = document.documentElement.clientWidth || 1200;
    frames.setAttribute("width", Math.max(width - 20, 100));
    draw();
  }
  window.addEventListener("resize", fit);
  fit();
})();
