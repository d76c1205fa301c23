"""What OpenLineage's schema (2-0-2) asks of a file of run events, as far as it can be said without it.

openlineage.py FILE: checks every line; prints "<name of the run> <event type>" for each, in order.
"""
import datetime
import json
import re
import sys
import uuid

URI = re.compile(r"[a-z][a-z0-9+.-]*:[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)
FACETS = {  # required, allowed, the name of the schema
    "parent": ("run job", "", "ParentRunFacet"),
    "errorMessage": ("message programmingLanguage", "stackTrace", "ErrorMessageRunFacet"),
    "jobType": ("processingType integration", "jobType", "JobTypeJobFacet"),
    "sourceCodeLocation": ("type url", "repoUrl path version tag branch",
                           "SourceCodeLocationJobFacet"),
    "version": ("datasetVersion", "", "DatasetVersionDatasetFacet"),
    "datasetType": ("datasetType", "subType", "DatasetTypeDatasetFacet"),
    "outputStatistics": ("", "rowCount size fileCount", "OutputStatisticsOutputDatasetFacet"),
    "documentation": ("description", "contentType", "DocumentationJobFacet"),
    "tags": ("tags", "", "Tags"),
}


def uri(text):
    assert URI.fullmatch(text), f"no URI: {text}"


def time_of(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", text), f"no time: {text}"
    return datetime.datetime.fromisoformat(text[:-1])


def facets(of):
    for name, f in of.items():
        required, allowed, schema = FACETS[name]
        uri(f["_producer"])
        uri(f["_schemaURL"])
        assert re.fullmatch(r"https://openlineage\.io/spec/facets/\d-\d-\d/(\w+)\.json#/\$defs/\1",
                            f["_schemaURL"]), f
        assert f"/{schema}" in f["_schemaURL"], f
        keys = set(f) - {"_producer", "_schemaURL"}
        assert set(required.split()) <= keys <= set((required + " " + allowed).split()), f
        for key, value in f.items():
            wanted = (list if key == "tags" else int if name == "outputStatistics" and key[0] != "_"
                      else dict if name == "parent" and key[0] != "_" else str)
            assert type(value) is wanted, f
        for tag in f.get("tags", []):
            assert set(tag) <= {"key", "value", "source"} and all(
                type(v) is str for v in tag.values()), f


def named(thing):
    uri(thing["namespace"])
    assert type(thing["name"]) is str and thing["name"]


def run_of(run):
    assert str(uuid.UUID(run["runId"])) == run["runId"]
    assert uuid.UUID(run["runId"]).variant == uuid.RFC_4122
    assert uuid.UUID(run["runId"]).version == 8


def check(event, open_runs, done):
    time = time_of(event["eventTime"])
    uri(event["producer"])
    uri(event["schemaURL"])
    named(event["job"])
    facets(event["job"].get("facets", {}))
    if "run" not in event:
        assert event["schemaURL"].endswith("/2-0-2/OpenLineage.json#/$defs/JobEvent")
        return time, "- " + event["job"]["facets"]["documentation"]["description"]
    assert event["schemaURL"].endswith("/2-0-2/OpenLineage.json#/$defs/RunEvent")
    run_of(event["run"])
    facets(event["run"]["facets"])
    parent = event["run"]["facets"].get("parent")
    if parent:
        run_of(parent["run"])
        named(parent["job"])
    for side in "inputs", "outputs":
        for d in event[side]:
            named(d)
            facets(d.get("facets", {}))
            facets(d.get("outputFacets", {}))
            assert side == "outputs" or "outputFacets" not in d
    name = next(t["value"] for t in event["run"]["facets"]["tags"]["tags"] if t["key"] == "run")
    if event["eventType"] == "START":
        assert event["run"]["runId"] not in open_runs | done, "started twice"
        open_runs.add(event["run"]["runId"])
    else:
        assert event["eventType"] in ("COMPLETE", "FAIL", "ABORT"), event["eventType"]
        assert ("errorMessage" in event["run"]["facets"]) == (event["eventType"] != "COMPLETE")
        open_runs.remove(event["run"]["runId"])
        done.add(event["run"]["runId"])
    return time, f"{name} {event['eventType']}"


last = None
open_runs, done = set(), set()
for line in open(sys.argv[1]):
    assert line.endswith("\n")
    time, said = check(json.loads(line), open_runs, done)
    assert last is None or last <= time, "not in order"
    last = time
    print(said)
