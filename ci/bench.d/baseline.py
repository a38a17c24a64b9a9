"""ci/baseline.json: what each counted path took when somebody last said that it may."""

import json
import pathlib

FILE = pathlib.Path(__file__).resolve().parents[1] / "baseline.json"

KINDS = ("instructions", "core")

# Two runs differ by a few percent where packets come at other moments.
TOLERANCE, SLACK = 0.05, 100


def _counted(table):
    return {row["name"]: row["value"] for row in table.rows if row.get("counted")}


def _read():
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def complaints(what, table, whole):
    """What differs for the worse from the baseline of `what`, a line each. whole: all that the baseline has was to be
    measured."""
    if what not in KINDS:
        return
    known, measured = _read().get(what, {}), _counted(table)
    for name, value in measured.items():
        if name not in known:
            yield f"{name}: not in ci/baseline.json"
        elif value > max(known[name] * (1 + TOLERANCE), known[name] + SLACK):
            yield f"{name}: {value:,}, over 5 % more than the {known[name]:,} of ci/baseline.json"
    excused = {row["name"] for row in table.rows if row.get("excused")}
    for name in known.keys() - measured.keys() - excused if whole else ():
        yield f"{name}: in ci/baseline.json, and not measured"


def update(what, table, whole):
    """Makes the baseline what was measured now. whole: rows that were not are forgotten."""
    all_known = _read()
    all_known[what] = ({} if whole else all_known.get(what, {})) | _counted(table)
    FILE.write_text(json.dumps(all_known, indent=2, sort_keys=True) + "\n")
