"""The checks. Each opens what it needs and asserts; what it returns is printed beside its name."""

import json
import re

from selenium.webdriver.common.keys import Keys

import graphs

ALL = []
RUNS, MODELS = '[data-cluster="cluster:3:run"]', '[data-cluster="cluster:4:artifact"]'


def check(name):
    def add(function):
        ALL.append((name, function))
        return function
    return add


def same(got, wanted, what=""):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def rows(page, cluster):
    return page.js("return [...document.querySelectorAll(arguments[0] + ' .row')]"
                   ".map(e => e.dataset.id)", cluster)


def colour(text):
    """Red, green, blue of a computed colour, 0 to 255, over white or black."""
    numbers = [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", text.split("(")[1])]
    return [n * 255 for n in numbers[:3]] if text.startswith("color(") else numbers[:3]


def luminance(rgb):
    parts = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    a, b = sorted([luminance(one), luminance(other)])
    return (b + 0.05) / (a + 0.05)


# --- what is drawn ---

@check("one column a level, left to right")
def columns(page):
    doc = graphs.pipeline()
    page.open(doc)
    middles = {}
    for n in doc["nodes"]:
        kind = n["kind"]
        box = {(3, "run"): RUNS, (4, "artifact"): MODELS}.get((n["level"], kind), page.node(n["id"]))
        middles.setdefault(n["level"], set()).add(round(page.rect(box)["x"]))
    assert all(len(xs) == 1 for xs in middles.values()), middles
    ordered = [xs.pop() for _, xs in sorted(middles.items())]
    same(ordered, sorted(ordered), "columns")
    same(len(ordered), 8, "columns")
    assert page.texts("#levels span")[3] == "level 3 · 10 runs", page.texts("#levels span")
    boxes = page.js("return [...document.querySelectorAll('.box')].map(e => e.getBoundingClientRect())"
                    ".map(r => [r.left, r.top, r.right, r.bottom])")
    for k, a in enumerate(boxes):
        for b in boxes[:k]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], "boxes overlap"
    page.screenshot("pipeline")


@check("artifacts blue, runs green, type before name")
def colours(page):
    page.open(graphs.pipeline())
    blue = colour(page.style(page.node("raw:v0") + " .face", "border-top-color"))
    green = colour(page.style(page.node("prep-1") + " .face", "border-top-color"))
    assert blue[2] > blue[0] + 40 and blue[2] > blue[1] + 40, blue
    assert green[1] > green[0] + 40 and green[1] > green[2] + 30, green
    same(page.text(page.node("raw:v0") + " .sort b"), "dataset")
    for face in (page.node("mnist:v3"), page.node("prep-1")):
        text = page.text(face + " .face")
        kind = "dataset" if "mnist" in text else "preprocess"
        name = "mnist:v3" if "mnist" in text else "prep-1"
        assert text.index(kind) < text.index(name), text
        kind_at, name_at = page.rect(face + " .sort b"), page.rect(face + " .name span")
        assert kind_at["top"] < name_at["top"], "the type stands before the name"
    entry = page.text(MODELS + " .row")
    same(entry, "modelmodel:v0", "entry")
    assert page.rect(MODELS + " .row .sort")["x"] < page.rect(MODELS + " .row .name")["x"]
    assert page.seen(page.node("mnist:v3") + " .sort b") and page.seen(RUNS + " .row .sort")
    same(page.text(page.node("publish") + " .sort b"), "run", "a run without a job type")


@check("arrows in the direction of flow, dashed ones, one drawn back")
def arrows(page):
    doc = graphs.pipeline()
    page.open(doc)
    level = {n["id"]: (n["level"], n["kind"]) for n in doc["nodes"]}
    cluster = {(3, "run"): "cluster:3:run", (4, "artifact"): "cluster:4:artifact"}
    wanted = {}
    for e in doc["edges"]:
        ends = tuple(cluster.get(level[e[end]], e[end]) for end in ("from", "to"))
        if ends[0] != ends[1]:
            key = ends + (e["kind"] in ("reproduced", "read_draft"),)
            wanted[key] = wanted.get(key, 0) + 1
    same({(a["from"], a["to"], a["dashed"]): a["count"] for a in page.arrows()}, wanted, "arrows")
    head = "document.querySelector('[data-from=\"%s\"][data-to=\"%s\"] .head').getBoundingClientRect()"
    forward = page.js("return " + head % ("raw:v0", "prep-1"))
    assert abs(forward["right"] - page.rect(page.node("prep-1"))["left"]) < 4, "points at the left side"
    back = page.js("return " + head % ("report:v0", "fetch-old"))
    assert abs(back["left"] - page.rect(page.node("fetch-old"))["right"]) < 4, "comes from the right"
    for node in ("again-3", "model:v3", "train-6", "train-7"):
        page.focus_box(node)
    kinds = {(a["from"], a["to"]): a for a in page.arrows()}
    assert kinds["again-3", "model:v3"]["dashed"] and kinds["train-6", "train-7"]["dashed"]
    same(kinds["again-3", "model:v3"]["kind"], "reproduced")
    same(kinds["train-6", "train-7"]["kind"], "read_draft")
    assert not kinds["mnist:v3", "again-3"]["dashed"]
    page.screenshot("dashed")


@check("removed, private and states of runs look so")
def looks(page):
    page.open(graphs.pipeline())
    same(page.style(page.node("mnist:v2") + " .face", "border-top-style"), "dashed")
    assert "line-through" in page.style(page.node("mnist:v2") + " .name span", "text-decoration-line")
    same(page.text(page.node("mnist:v2") + " .chip"), "removed")
    for run, state in (("fetch-old", "failed"), ("prep-1", "finished"), ("export-3", "running")):
        assert page.seen(f"{page.node(run)} .icon.is-{state}[aria-label={state}]"), run
    assert page.seen(RUNS + " .row.private") and page.text(RUNS + " .row.private .name") == "private run"
    page.click(RUNS + " .row.private .pull")
    page.wait(lambda: page.is_out("hidden-1"), "the private run stands by itself")
    same(page.style(page.node("hidden-1") + " .face", "border-top-style"), "dotted")
    same(page.text(page.node("hidden-1") + " .name"), "private run")
    page.click(page.node("hidden-1") + " .face")
    page.wait(lambda: page.panel() == "private run", "its preview")
    assert "may not read" in page.text("#panel dl") and "hidden-1" not in page.text("#panel")
    page.click(page.node("mnist:v2") + " .face")
    page.wait(lambda: page.panel() == "mnist:v2", "preview of the removed version")
    assert "removed" in page.text("#panel .state") and "trash/mnist:v2" in page.text("#panel dl")
    page.click(RUNS + " .field")
    page.key("crashed")
    page.wait(lambda: rows(page, RUNS) == ["train-6"], "the crashed run")
    assert page.seen(RUNS + " .icon.is-crashed")
    page.screenshot("looks")


@check("banner when the graph is cut")
def banner(page):
    page.open(graphs.pipeline())
    assert not page.seen("#banner")
    page.open(graphs.pipeline(truncated="Cut at 100,000 nodes: <b>40</b> levels were left out."))
    assert page.seen("#banner[role=alert]")
    same(page.text("#banner"), "Cut at 100,000 nodes: <b>40</b> levels were left out.")
    page.screenshot("banner")


@check("with a root: in the middle, its neighbours pulled out")
def root(page):
    page.open(graphs.pipeline("model:v3"))
    assert page.all(page.node("model:v3") + ".root")
    for neighbour in ("train-3", "again-3", "eval-3", "export-3"):
        assert page.is_out(neighbour), neighbour
    assert not page.is_out("train-2") and not page.is_out("model:v2")
    stage, box = page.rect("#stage"), page.rect(page.node("model:v3"))
    assert abs(stage["x"] - box["x"]) < 2 and abs(stage["y"] - box["y"]) < 2, (stage, box)
    assert "model:v3" in page.text("#title")
    page.screenshot("root")


# --- clusters ---

@check("clusters from five on, with their counts")
def clusters(page):
    page.open(graphs.pipeline())
    same(len(page.all(".cluster")), 2, "clusters")
    same(page.text(RUNS + " .face b"), "10 runs")
    same(page.text(MODELS + " .face b"), "6 artifacts")
    same(len([n for n in ("eval-3", "eval-5", "export-3", "stats") if page.is_out(n)]), 4,
         "four runs are no cluster")


SEARCHES = [("again", ["again-3"]), ("in-6", ["train-6"]), ("best", ["train-3"]),
            ("sweep fin", [f"train-{k}" for k in range(6)]), ("running", ["train-7"]), ("nothing", [])]


@check("search in a cluster, mouse")
def cluster_search(page):
    page.open(graphs.pipeline())
    for text, wanted in SEARCHES:
        page.fill(RUNS + " .field", text)
        page.wait(lambda: rows(page, RUNS) == wanted, f"{text} finds {wanted}")
    assert page.seen(RUNS + " .none")
    for text, wanted in (("model:v3", ["model:v3"]), ("prod", ["model:v3"]), ("latest", ["model:v5"]),
                         ("MODEL live", [f"model:v{k}" for k in range(6)])):
        page.fill(MODELS + " .field", text)
        page.wait(lambda: rows(page, MODELS) == wanted, f"{text} finds {wanted}")
    page.screenshot("cluster-search")


@check("search in a cluster, pull out, push back, keyboard")
def cluster_keys(page):
    page.open(graphs.pipeline())
    page.tab_to("#stage")
    page.key(Keys.ENTER)
    page.wait(lambda: page.active(".box .face"), "a box has the keyboard")
    for _ in range(9):
        if page.js("return document.activeElement.closest('.box').dataset.cluster === 'cluster:3:run'"):
            break
        page.key(Keys.ARROW_RIGHT)
    page.key(Keys.ENTER)
    page.wait(lambda: page.active(RUNS + " .field"), "Enter on the title goes to the search field")
    for text, wanted in SEARCHES:
        page.key(text)
        page.wait(lambda: rows(page, RUNS) == wanted, f"{text} finds {wanted}")
        page.key(Keys.ESCAPE)
        page.wait(lambda: page.one(RUNS + " .field").get_attribute("value") == "", "Escape clears")
    page.key("train-", Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    option = page.one(RUNS + " .field").get_attribute("aria-activedescendant")
    same(page.one(f"#{option}").get_attribute("data-id"), "train-2", "the active entry")
    same(page.one(f"#{option}").get_attribute("aria-selected"), "true")
    page.key(Keys.ENTER)
    page.wait(lambda: page.is_out("train-2"), "Enter pulls out")
    assert page.active(RUNS + " .field") and "pulled out" in page.text("#say")
    page.screenshot("cluster-keys")
    page.key(Keys.ENTER)
    page.wait(lambda: not page.is_out("train-2"), "Enter pushes back")
    page.chord(Keys.SHIFT, Keys.ENTER)
    page.wait(lambda: page.panel() == "train-2", "Shift+Enter previews")
    assert not page.is_out("train-2")
    page.key(Keys.TAB)
    page.wait(lambda: page.active(RUNS + " .list"), "Tab goes to the list")
    page.key(Keys.END, Keys.SPACE)
    page.wait(lambda: page.panel() == "train-7", "Space previews the last entry")
    page.key("o")
    page.wait(lambda: page.is_out("train-7"), "o pulls out")
    page.key(Keys.HOME, Keys.ENTER)
    page.wait(lambda: page.is_out("train-0"), "Enter pulls out from the list")
    page.focus_box("train-7")
    page.key("o")
    page.wait(lambda: not page.is_out("train-7"), "o pushes back")
    assert page.active(RUNS + " .face"), "the keyboard goes to the cluster"
    page.key(Keys.TAB)
    assert page.active(RUNS + " .all-back")
    page.key(Keys.ENTER)
    page.wait(lambda: not page.is_out("train-0"), "all are pushed back")


@check("pull out and push back, mouse")
def pull(page):
    page.open(graphs.pipeline())
    before = page.rect(MODELS)
    page.click(MODELS + ' [data-id="model:v2"] .pull')
    page.wait(lambda: page.is_out("model:v2"), "pulled out")
    after = page.rect(MODELS)
    assert abs(before["left"] - after["left"]) < 1 and abs(before["top"] - after["top"]) < 1, "it stays"
    assert page.panel() is None, "the arrow pulls out and does not preview"
    assert "1 out" in page.text(MODELS + " .note")
    ends = {(a["from"], a["to"]) for a in page.arrows()}
    assert ("cluster:3:run", "model:v2") in ends, "it has its own arrows"
    page.click(MODELS + ' [data-id="model:v2"] .pull')
    page.wait(lambda: not page.is_out("model:v2"), "pushed back by the entry")
    page.click(MODELS + ' [data-id="model:v2"] .pull')
    page.click(page.node("model:v2") + " .back")
    page.wait(lambda: not page.is_out("model:v2"), "pushed back by the node")
    for k in range(6):
        page.click(f'{MODELS} [data-id="model:v{k}"] .pull')
    page.wait(lambda: "6 out" in page.text(MODELS + " .note"), "all are out")
    page.screenshot("all-out")
    page.click(MODELS + " .all-back")
    page.wait(lambda: not page.is_out("model:v0"), "all pushed back")


# --- preview ---

@check("preview with all details, mouse")
def preview(page):
    page.open(graphs.pipeline())
    page.click(page.node("mnist:v3") + " .face")
    page.wait(lambda: page.panel() == "mnist:v3", "preview")
    details = {e.get_attribute("data-detail"): e.text for e in page.all("#panel dd")}
    same(details["size"], "98.0 MiB (102,760,448 bytes)")
    same(details["digest"], graphs.DIGEST)
    same(details["files"], "3")
    same(details["aliases"], "latest, prod")
    same(details["tags"], "clean")
    same(details["path"], "artifacts/mnist/v3")
    same(details["logged"], "2025-03-01 12:00:00 UTC")
    assert page.all(page.node("mnist:v3") + ".selected")
    same(page.texts("#panel [aria-label=Producer] .name"), ["prep-1"])
    same(len(page.all("#panel [aria-label=Consumers] li")), 9, "consumers")
    page.screenshot("preview")
    page.click(RUNS + ' [data-id="train-3"] .name')
    page.wait(lambda: page.panel() == "train-3", "preview of an entry")
    assert not page.is_out("train-3"), "a click on an entry does not pull it out"
    assert page.all(RUNS + '.selected [data-id="train-3"].selected')
    details = {e.get_attribute("data-detail"): e.text for e in page.all("#panel dd")}
    same(details["user"], "ada")
    same(details["lasted"], "30 min")
    same(details["tags"], "sweep, best")
    assert "finished" in page.text("#panel .state")
    same(page.texts("#panel [aria-label=Inputs] .name"), ["mnist:v3"])
    same(page.texts("#panel [aria-label=Inputs] .role"), ["data"])
    same(page.texts("#panel [aria-label=Outputs] .name"), ["model:v3"])
    page.click("#panel-close")
    page.wait(lambda: page.panel() is None, "closed")


@check("links of the preview, mouse")
def links(page):
    page.open(graphs.pipeline())
    page.click(page.node("eval-3") + " .face")
    page.wait(lambda: page.panel() == "eval-3", "preview")
    page.click('#panel [aria-label=Inputs] .link[data-id="model:v3"]')
    page.wait(lambda: page.panel() == "model:v3", "an input")
    same(page.texts('#panel [aria-label="Reproduced by"] .name'), ["again-3"])
    assert not page.is_out("model:v3")
    page.click('#panel .pull[data-pull="train-3"]')
    page.wait(lambda: page.is_out("train-3"), "the arrow beside a link pulls out")
    same(page.panel(), "model:v3")
    page.click('#panel .pull[data-pull="train-3"]')
    page.wait(lambda: not page.is_out("train-3"), "and pushes back")
    page.click("#panel [aria-label=Producer] .link")
    page.wait(lambda: page.panel() == "train-3", "the producer")
    page.click("#panel [aria-label=Back]")
    page.wait(lambda: page.panel() == "model:v3", "back")
    page.click('#panel [data-action="pull"]')
    page.wait(lambda: page.is_out("model:v3"), "pulled out from the panel")


@check("preview and its links, keyboard")
def preview_keys(page):
    page.open(graphs.pipeline())
    page.tab_to("#stage")
    page.key(Keys.ENTER)
    page.wait(lambda: page.active(".box .face"), "a box")
    page.key(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ENTER)
    page.wait(lambda: page.panel() == "labels:v2", "Enter previews")
    page.key(Keys.ENTER)
    page.wait(lambda: page.active("#panel"), "Enter again goes into the details")
    page.tab_to('#panel .link[data-id="prep-1"]')
    page.key(Keys.ENTER)
    page.wait(lambda: page.panel() == "prep-1", "a link")
    assert page.js("return document.activeElement.closest('#panel') !== null"), "still in the details"
    page.key(Keys.ESCAPE)
    page.wait(lambda: page.active(page.node("prep-1") + " .face"), "Escape goes to its box")
    page.key(Keys.ESCAPE)
    page.wait(lambda: page.panel() is None, "Escape closes the details")
    page.key("i")
    page.wait(lambda: page.active("#panel"), "i goes into the details")


# --- expanding ---

@check("expand, mouse")
def expand(page):
    page.open(graphs.pipeline())
    same(page.text(page.node("mnist:v3") + " .grow.down"), "+9 ›")
    page.click(page.node("mnist:v3") + " .grow.down")
    page.wait(lambda: page.is_out("train-7"), "consumers are pulled out")
    assert page.is_out("hidden-1") and page.is_out("again-3") and not page.is_out("train-0")
    assert not page.seen(page.node("mnist:v3") + " .grow.down"), "nothing more to pull out"
    page.click(page.node("eval-5") + " .grow.up")
    page.wait(lambda: page.is_out("model:v5"), "inputs are pulled out")
    page.click(page.node("model:v5") + " .face")
    page.wait(lambda: page.panel() == "model:v5", "preview")
    page.screenshot("expanded")
    page.click(MODELS + ' [data-id="model:v0"] .name')
    page.wait(lambda: page.panel() == "model:v0", "preview of an entry")
    page.click('#panel [data-action="expand-up"]')
    page.wait(lambda: page.is_out("train-0") and page.is_out("model:v0"), "entry and producer")
    page.click('#panel [data-action="expand-down"]')
    page.wait(lambda: "out already" in page.text("#say"), "nothing left to expand")


@check("expand, keyboard")
def expand_keys(page):
    page.open(graphs.pipeline())
    page.focus_box("model:v3")
    page.key("u")
    page.wait(lambda: page.is_out("train-3") and page.is_out("again-3"), "u: upstream")
    assert page.active(page.node("model:v3") + " .face"), "the keyboard stays"
    page.focus_box("train-7")
    page.key("u")
    page.wait(lambda: page.is_out("train-6"), "u: the run whose draft it read")
    page.focus_box("train-5")
    page.key("d")
    page.wait(lambda: page.is_out("model:v5"), "d: downstream")
    page.key(Keys.ARROW_RIGHT)
    page.wait(lambda: page.active(page.node("model:v5") + " .face"), "right: along the arrow")
    page.key(Keys.ARROW_LEFT)
    page.wait(lambda: page.active(page.node("train-5") + " .face"), "left: back")
    page.key(Keys.TAB)
    assert page.active(page.node("train-5") + " .back"), "Tab: to the parts of the box"


# --- highlighting ---

UP = {"model:v3", "train-3", "mnist:v3", "prep-1", "raw:v0", "labels:v2"}
DOWN = {"model:v3", "eval-3", "export-3", "report:v0", "onnx:v0", "publish", "audit", "drift", "fetch-old"}


@check("highlight all upstream and downstream, mouse")
def highlight(page):
    page.open(graphs.pipeline())
    page.click(MODELS + ' [data-id="model:v3"] .name')
    page.click('#panel [data-action="mark-up"]')
    page.wait(lambda: page.marked() == UP, "upstream: without who reproduced it")
    same(page.text("#mark-text"), "Upstream of model:v3: 3 artifacts, 2 runs")
    assert page.all(RUNS + ".marked") and "1 highlighted" in page.text(RUNS + " .note")
    same(rows(page, RUNS)[0], "train-3", "highlighted entries come first")
    page.screenshot("upstream")
    page.click("#mark-pull")
    page.wait(lambda: page.is_out("train-3") and page.is_out("model:v3"), "pulled out")
    marked = {(a["from"], a["to"]) for a in page.arrows() if a["marked"]}
    same(marked, {("train-3", "model:v3"), ("mnist:v3", "train-3"), ("prep-1", "mnist:v3"),
                  ("raw:v0", "prep-1"), ("labels:v2", "prep-1")}, "highlighted arrows")
    page.click('#panel [data-action="mark-down"]')
    page.wait(lambda: page.text("#mark-text").startswith("Downstream"), "downstream")
    same({m for m in page.marked()}, DOWN, "downstream")
    page.click("#mark-clear")
    page.wait(lambda: not page.marked() and not page.seen("#marking"), "cleared")


@check("highlight all upstream and downstream, keyboard")
def highlight_keys(page):
    page.open(graphs.pipeline())
    page.focus_box("model:v3")
    page.key("0", "U")
    page.wait(lambda: page.marked() == UP, "U")
    page.key("D")
    page.wait(lambda: page.marked() == DOWN, "D")
    page.key(Keys.ESCAPE)
    page.wait(lambda: not page.marked(), "Escape clears")
    same(page.panel(), "model:v3", "one step at a time")


@check("a version depends on what was used before it was logged")
def sequence(page):
    steps = [graphs.used("a:v0", "r"), graphs.logged("r", "m:v0"), graphs.used("b:v0", "r"),
             graphs.logged("r", "m:v1"), graphs.used("m:v0", "loop"), graphs.logged("loop", "b:v0")]
    for seq, edge in zip([1, 2, 5, 6, 3, 4], steps):
        edge["seq"] = seq
    levels = {"a": 0, "b": 4, "m": 2}
    nodes = [graphs.artifact(n[0], n[2:], "t", levels[n[0]]) for n in ("a:v0", "b:v0", "m:v0", "m:v1")]
    nodes += [graphs.run("r", "train", 1), graphs.run("loop", "rollout", 3)]
    for edges, wanted in ((steps, {"m:v0", "r", "a:v0"}),
                          ([{k: v for k, v in e.items() if k != "seq"} for e in steps],
                           {"m:v0", "r", "a:v0", "b:v0", "loop"})):
        page.open(graphs.document(nodes, edges))
        page.focus_box("m:v0")
        page.key("0", "U")
        page.wait(lambda: page.marked() == wanted, f"upstream of the checkpoint is {wanted}")
    page.open(graphs.document(nodes, steps))
    page.focus_box("b:v0")
    page.key("0", "D")
    page.wait(lambda: page.marked() == {"b:v0", "r", "m:v1"}, "downstream of the later input")
    page.key(Keys.ESCAPE)
    page.focus_box("m:v1")
    page.key("0", "U")
    page.wait(lambda: page.marked() == {"m:v1", "r", "a:v0", "b:v0", "loop", "m:v0"}, "all of it")


PATH = ["raw:v0", "prep-1", "mnist:v3", "train-3", "model:v3", "eval-3", "report:v0", "audit"]


@check("the path between two nodes, mouse")
def path(page):
    page.open(graphs.pipeline())
    page.click(page.node("raw:v0") + " .face")
    page.click('#panel [data-action="path"]')
    page.wait(lambda: "choose the other end" in page.text("#mark-text"), "one end is chosen")
    page.click("#zoom-fit")
    page.click(page.node("report:v0") + " .face")
    page.click('#panel [aria-label=Consumers] .link[data-id="audit"]')
    page.click('#panel [data-action="path"]')
    page.wait(lambda: page.marked() == set(PATH), "the path, pulled out")
    marked = {(a["from"], a["to"]) for a in page.arrows() if a["marked"]}
    same(marked, set(zip(PATH, PATH[1:])), "arrows of the path")
    same(page.text("#mark-text"), "Path from raw:v0 to audit: 7 arrows")
    page.screenshot("path")
    page.click("#mark-clear")
    page.wait(lambda: not page.marked(), "cleared")
    page.click("#zoom-fit")
    page.click(page.node("audit") + " .face")
    page.click('#panel [data-action="path"]')
    page.click(page.node("drift") + " .face")
    page.click('#panel [data-action="path"]')
    page.wait(lambda: page.text("#mark-text") == "No directed path between audit and drift", "none")
    assert not page.marked()


@check("the path between two nodes, keyboard")
def path_keys(page):
    page.open(graphs.pipeline())
    page.focus_box("audit")
    page.key("p")
    page.wait(lambda: page.all(page.node("audit") + ".path-from"), "one end")
    page.focus_box("raw:v0")
    page.key("p")
    page.wait(lambda: page.marked() == set(PATH), "found against the order of choosing")
    same(page.text("#mark-text"), "Path from raw:v0 to audit: 7 arrows")
    page.key(Keys.ESCAPE)
    page.focus_box("model:v1")
    page.key("p")
    page.focus_box("model:v2")
    page.key("p")
    page.wait(lambda: page.text("#mark-text").startswith("No directed path"), "none")
    page.focus_box("again-3")
    page.key("p")
    page.focus_box("model:v3")
    page.key("p")
    page.wait(lambda: page.text("#mark-text") == "No directed path between again-3 and model:v3",
              "dashed arrows are no path")


# --- moving about ---

@check("zoom and fit, mouse")
def zoom(page):
    page.open(graphs.pipeline())
    fitted = page.view()
    point = page.rect(page.node("raw:v0"))
    page.wheel(page.node("raw:v0"), -200)
    page.wait(lambda: page.view()[2] > fitted[2] * 1.2, "the wheel zooms in")
    now = page.rect(page.node("raw:v0"))
    assert abs(now["x"] - point["x"]) < 2 and abs(now["y"] - point["y"]) < 2, "about the mouse"
    large = page.view()[2]
    page.wheel(page.node("raw:v0"), 200)
    page.wait(lambda: page.view()[2] < large / 1.2, "and out")
    page.click("#zoom-in")
    page.wait(lambda: page.view()[2] > fitted[2] * 1.2, "+")
    page.click("#zoom-out")
    page.click("#zoom-out")
    page.wait(lambda: page.view()[2] < fitted[2] * 0.9, "-")
    page.click("#zoom-fit")
    page.wait(lambda: page.view() == fitted, "fit")
    stage = page.rect("#stage")
    for node in ("raw:v0", "fetch-old", "publish", "drift"):
        box = page.rect(page.node(node))
        assert all(stage[side] <= box[side] for side in ("left", "top")), node
        assert all(box[side] <= stage[side] for side in ("right", "bottom")), node


@check("zoom, fit and reset, keyboard")
def zoom_keys(page):
    page.open(graphs.pipeline())
    fitted = page.view()
    page.key("+")
    page.wait(lambda: page.view()[2] > fitted[2] * 1.2, "+")
    page.key("-", "-")
    page.wait(lambda: page.view()[2] < fitted[2] * 0.9, "-")
    page.key("0")
    page.wait(lambda: page.view() == fitted, "0")
    page.key("+", "f")
    page.wait(lambda: page.view() == fitted, "f")
    page.focus_box("model:v3")
    page.key("U", "r")
    page.wait(lambda: not page.is_out("model:v3"), "r pushes back")
    assert page.view() == fitted and page.panel() is None and not page.marked()


@check("pan, mouse and keyboard")
def pan(page):
    page.open(graphs.pipeline())
    x, y, k = page.view()
    page.drag("#stage", 120, 80, 0, 200)
    page.wait(lambda: page.view() == [x + 120, y + 80, k], "drag")
    page.drag(page.node("prep-1"), -60, -40)
    page.wait(lambda: page.view() == [x + 60, y + 40, k], "drag on a box")
    assert page.panel() is None, "a drag is no click"
    page.tab_to("#stage")
    page.key(Keys.ARROW_LEFT, Keys.ARROW_UP)
    page.wait(lambda: page.view() == [x + 140, y + 120, k], "left, up")
    page.key(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    page.wait(lambda: page.view() == [x - 20, y + 40, k], "right, down")
    page.key(Keys.ENTER)
    page.wait(lambda: page.active(".box .face"), "a box")
    x, y, k = page.view()
    page.chord(Keys.SHIFT, Keys.ARROW_RIGHT)
    page.wait(lambda: page.view() == [x - 80, y, k], "Shift moves the graph from a box")


@check("search over the whole graph, mouse")
def find(page):
    page.open(graphs.pipeline())
    page.click("#find")
    page.key("model:v")
    page.wait(lambda: rows(page, "#found") == [f"model:v{k}" for k in range(6)], "results")
    page.screenshot("search")
    page.click('#found [data-id="model:v4"]')
    page.wait(lambda: page.is_out("model:v4") and page.panel() == "model:v4", "pulled out, previewed")
    stage, box = page.rect("#stage"), page.rect(page.node("model:v4"))
    assert abs(stage["x"] - box["x"]) < 2 and abs(stage["y"] - box["y"]) < 2, "in the middle"
    assert not page.seen("#found")
    page.fill("#find", "no such thing")
    page.wait(lambda: page.seen("#found-none"), "nothing matches")


@check("search over the whole graph, keyboard")
def find_keys(page):
    page.open(graphs.pipeline())
    for text, wanted in (("mnist:latest", ["mnist:v3"]), ("by-hand", ["labels:v2"]), ("removed", ["mnist:v2"]),
                         ("failed", ["fetch-old"]), ("export", ["export-3"]), ("private", ["hidden-1"]),
                         ("dataset gold", ["labels:v2"]), ("eval", ["drift", "eval-3", "eval-5", "stats"])):
        page.key("/")
        page.wait(lambda: page.active("#find"), "/")
        page.key(text)
        page.wait(lambda: rows(page, "#found") == wanted, f"{text} finds {wanted}")
        page.key(Keys.ESCAPE, Keys.ESCAPE)
        page.wait(lambda: page.active("#stage"), "Escape closes, clears and leaves")
    page.key("/")
    page.key("eval", Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    option = page.one("#find").get_attribute("aria-activedescendant")
    same(page.one(f"#{option}").get_attribute("data-id"), "eval-5")
    page.key(Keys.ENTER)
    page.wait(lambda: page.active(page.node("eval-5") + " .face") and page.panel() == "eval-5", "Enter")


# --- around ---

@check("help, mouse and keyboard")
def help_overlay(page):
    page.open(graphs.pipeline())
    page.key("?")
    page.wait(lambda: page.seen("#help[open]"), "?")
    assert page.js("return document.activeElement.closest('#help') !== null")
    assert "search the whole graph" in page.text("#help")
    page.screenshot("help")
    page.key(Keys.ESCAPE)
    page.wait(lambda: not page.seen("#help[open]"), "Escape")
    page.click("#help-open")
    page.wait(lambda: page.seen("#help[open]"), "the button")
    page.click("#help [aria-label=Close]")
    page.wait(lambda: not page.seen("#help[open]"), "closed")


@check("every part has a name and a visible focus")
def focus(page):
    page.open(graphs.pipeline())
    page.focus_box("model:v3")
    page.js("document.getElementById('find').focus()")
    nameless = page.js("return [...document.querySelectorAll('button, input, [tabindex], [role=group]')].filter(e =>"
                       " e.checkVisibility() && !e.textContent.trim() && !e.ariaLabel && !e.labels?.length &&"
                       " !e.closest('[aria-hidden=true]')).map(e => e.outerHTML)")
    same(nameless, [], "without a name")
    stops = []
    for _ in range(60):
        stop = page.js("const e = document.activeElement, s = getComputedStyle(e);"
                       "return e === document.body ? null : [e.id || e.className, s.outlineStyle,"
                       " parseFloat(s.outlineWidth), e.matches(':focus-visible')]")
        if stop is None:
            break
        stops.append(stop)
        page.key(Keys.TAB)
    for name, style, width, visible in stops:
        assert style == "solid" and width >= 2 and visible, f"focus of {name} cannot be seen"
    names = [s[0] for s in stops]
    for wanted in ("find", "theme", "help-open", "stage", "face", "back", "zoom-in", "zoom-fit", "panel-close", "link"):
        assert wanted in " ".join(names).split(), f"Tab does not come to {wanted}: {names}"
    for group in (page.node("model:v3"), RUNS):
        assert page.one(group).get_attribute("role") == "group"
    label = page.one(page.node("model:v3") + " .face").get_attribute("aria-label")
    same(label, "model artifact model:v3, prod, level 4, 2 arrows in, 2 out")
    same(page.one(RUNS + " .list").get_attribute("role"), "listbox")
    same(page.one(RUNS + " .row").get_attribute("aria-setsize"), "10")


@check("light and dark, and text that can be read")
def themes(page):
    page.open(graphs.pipeline())
    page.focus_box("prep-1")
    dark = page.theme == "dark"
    for turn in range(3):
        if turn == 1:
            page.click("#theme")
        elif turn == 2:
            page.tab_to("#stage")
            page.key("t")
        ground = colour(page.style("body", "background-color"))
        same(luminance(ground) < 0.2, dark != (turn == 1), "darkness of the ground")
        pairs = [("body", "body"), (page.node("raw:v0") + " .sort b", page.node("raw:v0") + " .face"),
                 (page.node("raw:v0") + " .name", page.node("raw:v0") + " .face"),
                 (page.node("prep-1") + " .sort b", page.node("prep-1") + " .face"),
                 ("#about", "#bar"), ("#levels span", "body"), (RUNS + " .face b", RUNS + " .head"),
                 (RUNS + " .row .sort", RUNS), (RUNS + " .row .name", RUNS), ("#panel dt", "#panel"),
                 (page.node("mnist:v2") + " .name span", page.node("mnist:v2") + " .face")]
        for ink, paper in pairs:
            ratio = contrast(colour(page.style(ink, "color")), colour(page.style(paper, "background-color")))
            assert ratio >= 4.5, f"{ink} has a contrast of {ratio:.1f}"
        for tone in (page.node("raw:v0"), page.node("prep-1")):
            ratio = contrast(colour(page.style(tone + " .face", "border-top-color")), ground)
            assert ratio >= 3, f"{tone}: border has a contrast of {ratio:.1f}"


@check("the page alone offers to load a file")
def loader(page):
    page.browser.get("file://" + page.write("alone.html", page.template))
    page.wait(lambda: page.seen("#loader"), "it says that there is no graph")
    assert "graph.json" in page.text("#loader-why")
    same(page.template.count("@GRAPH@"), 1, "the placeholder")
    page.screenshot("loader")
    page.one("#file").send_keys(page.write("bad.json", "{ this is no JSON"))
    page.wait(lambda: "bad.json" in page.text("#loader-error"), "a bad file")
    page.one("#file").send_keys(page.write("other.json", '{"format": "other"}'))
    page.wait(lambda: "not a lineagefs-graph-1" in page.text("#loader-error"), "another document")
    page.one("#file").send_keys(page.write("graph.json", json.dumps(graphs.pipeline())))
    page.wait(lambda: page.is_out("mnist:v3") and not page.seen("#loader"), "the graph")
    page.browser.get("file://" + page.write("cut.html", page.template.replace("@GRAPH@", '{"format": ')))
    page.wait(lambda: "cannot be read" in page.text("#loader-why"), "a broken page says so")


@check("data is text, nothing comes from the network")
def hostile(page):
    evil = "</script><img src=x onerror=document.title='owned'>"
    nodes = [graphs.artifact(f"a{k}", "v0", evil, 0, [evil], [evil], digest=evil, note={"x": evil})
             for k in range(6)]
    nodes += [graphs.run("r", evil, 1, user=evil), graphs.artifact("b", "v0", "", 2)]
    edges = [graphs.used("a0:v0", "r", evil), graphs.logged("r", "b:v0"), graphs.used("gone:v0", "r")]
    page.open(graphs.document(nodes, edges, truncated=evil))
    page.focus_box("a0:v0")
    page.key("D")
    page.wait(lambda: page.marked() == {"a0:v0", "r", "b:v0"}, "it works")
    page.focus_box("r")
    assert not page.all("img") and "owned" not in page.js("return document.title")
    assert evil in page.text("#panel") and evil in page.text("#banner")
    same(page.js("return performance.getEntriesByType('resource').length"), 0, "fetched")
    assert "innerHTML" not in page.template and "default-src 'none'" in page.template


@check("an empty store and odd documents")
def empty(page):
    page.open(graphs.document([], []))
    page.key("+", "f", "u", "r", "/")
    page.key("x")
    page.wait(lambda: page.seen("#found-none"), "nothing to find")
    odd = graphs.document([{"id": "x:v0", "kind": "artifact", "level": 3}, {"id": "y", "kind": "run", "level": 9}],
                          [{"from": "x:v0", "to": "y", "kind": "used"}], root="y")
    page.open(odd)
    page.focus_box("x:v0")
    same(page.panel(), "x:v0")


# --- many nodes ---

def big(page):
    if not hasattr(page, "big"):
        page.big = graphs.big()
        page.big_file = page.write("big.html", graphs.page(page.template, page.big))
    page.open_file(page.big_file)
    return page.big


@check("10,000 nodes: only what is in sight is drawn")
def big_drawn(page):
    doc = big(page)
    same((len(doc["nodes"]), len(doc["edges"])), (10000, 30000))
    count = page.js("return [document.querySelectorAll('.box').length, document.querySelectorAll('.row').length,"
                    " document.querySelectorAll('*').length]")
    assert count[0] < 20 and count[1] < 200 and count[2] < 4000, count
    page.screenshot("big")
    page.key("0")
    page.wait(lambda: len(page.all(".cluster")) == 40, "all 40 clusters when all is in the window")
    same(sum(a["count"] for a in page.arrows()), 30000, "every edge is in an arrow")
    assert page.js("return document.querySelectorAll('*').length") < 12000
    page.screenshot("big-all")
    last = '[data-cluster="cluster:39:run"]'
    page.click(last + " .face")
    page.wait(lambda: page.view()[2] > 0.6 and page.active(last + " .field"), "a click on a tiny cluster comes near")
    page.key(Keys.ESCAPE, "0")
    page.wait(lambda: len(page.all(".cluster")) == 40, "all again")
    times = page.js("const t = [performance.now()]; rearrange(); t.push(performance.now());"
                    " matching(G.order, 'corpus v99'); t.push(performance.now());"
                    " walk(G.order[0], 'down'); t.push(performance.now());"
                    " return t.slice(1).map((x, k) => Math.round(x - t[k])).concat("
                    "Math.round(performance.getEntriesByType('navigation')[0].domComplete))")
    return "layout {} ms, search {} ms, closure {} ms, load {} ms".format(*times)


@check("10,000 nodes: clusters scroll, are searched and pulled from")
def big_cluster(page):
    doc = big(page)
    cluster = '[data-cluster="cluster:0:artifact"]'
    first = [n["id"] for n in doc["nodes"] if n["level"] == 0]
    same(len(first), 250)
    for _ in range(40):
        page.wheel(cluster + " .list", 400)
    page.wait(lambda: page.js("const l = document.querySelector(arguments[0] + ' .list');"
                              "return l.scrollTop + l.clientHeight > l.scrollHeight - 2", cluster), "the wheel scrolls entries")
    page.wait(lambda: page.all(f'{cluster} .row[aria-posinset="250"]'), "the last entry")
    assert len(rows(page, cluster)) < 40 and not page.all(f'{cluster} .row[aria-posinset="1"]')
    page.click(cluster + " .field")
    page.key(first[200])
    page.wait(lambda: rows(page, cluster)[0] == first[200], "found")
    page.key(Keys.ENTER)
    page.wait(lambda: page.is_out(first[200]), "pulled out")
    page.key(Keys.ESCAPE)
    for _ in range(40):
        page.key(Keys.PAGE_DOWN)
    page.wait(lambda: page.all(f'{cluster} .row[aria-posinset="250"][aria-selected=true]'), "by keyboard to the end")


@check("10,000 nodes: expand, highlight, path, search")
def big_walk(page):
    doc = big(page)
    out = {}
    for e in doc["edges"]:
        out.setdefault(e["from"], set()).add(e["to"])
    start = next(n["id"] for n in doc["nodes"] if n["level"] == 0 and len(out.get(n["id"], ())) > 2)
    reached, queue = set(), [start]
    while queue:
        for other in out.get(queue.pop(), ()):
            if other not in reached:
                reached.add(other)
                queue.append(other)
    page.focus_box(start)
    page.key("d")
    page.wait(lambda: all(page.js("return S.out.has(G.index.get(arguments[0]))", n) for n in out[start]), "expanded")
    page.key("D")
    runs = len([r for r in reached if r.startswith("job-")])
    page.wait(lambda: page.text("#mark-text") ==
              f"Downstream of {start}: {len(reached) - runs:,} artifacts, {runs:,} runs", "all downstream")
    page.key("0")
    page.wait(lambda: len(page.all(".cluster.marked")) >= 30, "clusters are highlighted")
    page.screenshot("big-downstream")
    page.key(Keys.ESCAPE)
    far = max(reached, key=lambda n: int(n.split("-")[-1].split(":v")[-1]) % 40)
    page.key("p")
    page.focus_box(far)
    page.key("p")
    page.wait(lambda: (page.text("#mark-text") or "").startswith(f"Path from {start} to {far}"), "the path")
    steps = int(page.text("#mark-text").split()[-2])
    ids = page.js("return [...S.mark.nodes].map(i => G.nodes[i].id)")[::-1]
    same(len(ids), steps + 1)
    assert (ids[0], ids[-1]) == (start, far) and all(b in out[a] for a, b in zip(ids, ids[1:])), ids
    page.screenshot("big-path")
    page.key(Keys.ESCAPE, "/")
    page.key("job-9")
    page.wait(lambda: page.seen("#found"), "results")
    hits = [n["id"] for n in doc["nodes"] if "job-9" in n["id"]]
    same(page.one("#found .row").get_attribute("aria-setsize"), str(len(hits)), "all results are in the list")
    assert len(rows(page, "#found")) < 40


@check("10,000 nodes: what comes into sight is drawn")
def big_pan(page):
    big(page)
    before = {e.get_attribute("data-cluster") for e in page.all(".cluster")}
    page.tab_to("#stage")
    for _ in range(60):
        page.key(Keys.ARROW_RIGHT)
    page.wait(lambda: page.all(".cluster") and before.isdisjoint(
        {e.get_attribute("data-cluster") for e in page.all(".cluster:not(:has([tabindex='0']))")}), "others")
    assert len(page.all(".cluster")) < 20


def smoke(page, path):
    """A page as the daemon wrote it."""
    page.open_file(path)
    found = page.js("return [G.nodes.length, G.edges.length, G.doc.nodes.length, G.doc.edges.length]")
    assert found[0] == found[2] and (not found[0] or page.all(".box")), found
    page.screenshot("smoke-" + re.sub(r"[^A-Za-z0-9.-]+", "-", path).strip("-"))
    return f"{found[0]} nodes, {found[1]} of {found[3]} edges"
