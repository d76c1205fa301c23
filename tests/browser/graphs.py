"""The graphs that the browser test opens: a pipeline of 12 artifacts and 20 runs, and a big one."""

import random

DIGEST = "sha256:" + "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def artifact(name, version, kind, level, aliases=(), tags=(), state="live", **more):
    return {"id": f"{name}:{version}", "kind": "artifact", "name": name, "version": version,
            "type": kind, "level": level, "created_at": f"2025-03-01T1{level}:00:00Z",
            "size": 102760448, "files": 3, "digest": DIGEST, "aliases": list(aliases),
            "tags": list(tags), "state": state, **more}


def run(name, job_type, level, state="finished", tags=(), **more):
    ended = None if state == "running" else f"2025-03-01T1{level}:30:00Z"
    return {"id": name, "kind": "run", "job_type": job_type, "level": level,
            "created_at": f"2025-03-01T1{level}:00:00Z", "ended_at": ended, "state": state,
            "user": "ada", "tags": list(tags), **more}


def used(version, reader, role="data"):
    return {"from": version, "to": reader, "kind": "used", "roles": [role]}


def logged(writer, version):
    return {"from": writer, "to": version, "kind": "logged"}


def document(nodes, edges, root=None, truncated=False):
    return {"format": "lineagefs-graph-1", "root": root, "store": "/srv/ml/store",
            "truncated": truncated,
            "nodes": nodes, "edges": edges}


def pipeline(root=None, truncated=False):
    """12 artifacts and 20 runs: a sweep of 8 trainings (a cluster of runs), its 6 models (a cluster
    of artifacts), a run that reproduces one, a draft read, a removed version, a private run."""
    nodes = [
        artifact("raw", "v0", "dataset", 0, ["latest"]),
        artifact("labels", "v2", "dataset", 0, ["latest", "gold"], ["by-hand"]),
        run("fetch-old", "import", 0, "failed"),
        run("prep-1", "preprocess", 1),
        artifact("mnist", "v3", "dataset", 2, ["latest", "prod"], ["clean"]),
        artifact("mnist", "v2", "dataset", 2, state="removed"),
        {"id": "hidden-1", "kind": "run", "private": True, "level": 3},
    ]
    edges = [used("raw:v0", "prep-1", "raw"), used("labels:v2", "prep-1", "labels"),
             logged("prep-1", "mnist:v3"), used("raw:v0", "prep-0"), logged("prep-0", "mnist:v2"),
             used("mnist:v3", "hidden-1")]
    nodes.append(run("prep-0", "preprocess", 1))
    states = ["finished", "finished", "finished", "finished", "finished", "finished", "crashed",
              "running"]
    for k, state in enumerate(states):
        nodes.append(run(f"train-{k}", "train", 3, state, ["sweep"] + ["best"] * (k == 3)))
        edges.append(used("mnist:v3" if k else "mnist:v2", f"train-{k}"))
    for k in range(6):
        nodes.append(artifact("model", f"v{k}", "model", 4,
                              ["latest"] if k == 5 else ["prod"] if k == 3 else []))
        edges.append(logged(f"train-{k}", f"model:v{k}"))
    edges.append({"from": "train-6", "to": "train-7", "kind": "read_draft"})
    nodes += [run("again-3", "train", 3), run("eval-3", "evaluate", 5), run("eval-5", "evaluate", 5),
              run("export-3", "export", 5, "running"),
              artifact("report", "v0", "report", 6, ["latest"]),
              artifact("onnx", "v0", "model", 6, ["latest"]),
              run("stats", "evaluate", 5), run("publish", "", 7), run("audit", "audit", 7), run("drift", "evaluate", 7)]
    edges += [used("mnist:v3", "again-3"),
              {"from": "again-3", "to": "model:v3", "kind": "reproduced"},
              used("model:v3", "eval-3", "model"), used("labels:v2", "eval-3", "truth"),
              used("model:v5", "eval-5", "model"), used("labels:v2", "eval-5", "truth"), used("model:v0", "stats"),
              used("model:v3", "export-3", "model"), logged("eval-3", "report:v0"),
              logged("export-3", "onnx:v0"), used("report:v0", "publish", "report"),
              used("onnx:v0", "publish", "model"), used("report:v0", "audit"),
              used("raw:v0", "drift", "base"), used("onnx:v0", "drift", "model"),
              used("report:v0", "fetch-old", "wish")]
    return document(nodes, edges, root, truncated)


def big(count=10000, edge_count=30000, levels=40, seed=7):
    """`count` nodes on `levels` levels, artifacts and runs by turns, `edge_count` edges."""
    rng = random.Random(seed)
    by_level = [[] for _ in range(levels)]
    nodes, edges = [], []
    for k in range(count):
        level = k % levels
        if level % 2 == 0:
            name = rng.choice(["corpus", "tokens", "model", "policy", "report"])
            node = artifact(name, f"v{k}", name if name != "corpus" else "dataset", level,
                            ["latest"] if k > count - 5 else [])
            node["created_at"] = "2025-03-01T10:00:00Z"
        else:
            node = run(f"job-{k}", rng.choice(["train", "evaluate", "tokenize"]), level,
                       rng.choice(["finished"] * 8 + ["failed", "crashed"]))
            node["created_at"], node["ended_at"] = "2025-03-01T10:00:00Z", "2025-03-01T11:00:00Z"
        nodes.append(node)
        by_level[level].append(node["id"])
    produced = set()
    for level in range(1, levels):
        for node_id in by_level[level]:
            if level % 2 == 0:
                edges.append(logged(rng.choice(by_level[level - 1]), node_id))
                produced.add(node_id)
    while len(edges) < edge_count:
        level = rng.randrange(1, levels, 2)
        source = rng.choice(range(max(0, level - 5) // 2 * 2, level, 2))
        edges.append(used(rng.choice(by_level[source]), rng.choice(by_level[level])))
    return document(nodes, edges)


def page(template, doc):
    """The page with the document in it, as the daemon writes it."""
    import json
    return template.replace("@GRAPH@", json.dumps(doc).replace("<", "\\u003c"))
