"""The table of what was measured, beside the goals."""

import statistics

# Goals that are missed today, and why. Any other miss fails --strict.
KNOWN_MISSES = {
    "ring 0: arch, core, io": "grew with the scheduler and the accounting; it is to shrink again",
    "keep-alive request, nginx": "within 1 % of its budget: a busy host spreads packets over more wake-ups",
    "request on a new connection, httpd": "eight packets and their wake-ups are 13 k in ring 0; lwIP and its threads 21 k",
}
KNOWN_MISSES |= {
    "stream, guest to guest : out of the machine": "both ends of TCP and all copies are emulated; outside, one end is the host's",
}
KNOWN_MISSES |= {
    f"{guests} web guests on 2 CPUs : one on one": "QEMU has one thread for all devices of a machine, and the client and both CPUs share this host's two"
    for guests in (2, 4)
}

# What instructions hide, as counter.Counts has it.
EFFECTS = ("flushes", "interrupts", "ipis", "kicks")


class Table:
    """The rows: what was measured, its goal, and what could not be measured and why."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, goal=None, counted=False, at_least=False, **more):
        """counted: the value is a number of executed instructions, which two runs must agree on. at_least: the goal is
        to be reached, not to be kept below."""
        met = None if goal is None else value >= goal if at_least else value < goal
        more |= {"at_least": True} if at_least else {}
        row = {"name": name, "value": value, "unit": unit, "goal": goal, "met": met}
        self.rows.append(row | {"counted": counted} | more)

    def missing(self, name, why, excused=False):
        """excused: it is no failure, as whoever runs this may not be able to do better."""
        self.rows.append({"name": name, "value": None, "why": why, "excused": excused})

    def add_counts(self, name, counts, goal=None, share=1, effects=False, **more):
        """Instructions, with both rings' parts; share: events that they are divided among. effects: what they hide
        is shown, too."""
        if effects:
            more |= {name: round(getattr(counts, name) / share, 1) for name in EFFECTS}
        self.add(
            name,
            round(counts.total / share),
            "instructions",
            goal,
            counted=True,
            ring0=round(counts.ring0 / share),
            ring3=round(counts.ring3 / share),
            **more,
        )

    def add_spans(self, name, spans, goal=None, **more):
        """The median of many, with the extremes."""
        totals = sorted(span.total for span in spans)
        median = statistics.median_low(totals)
        span = next(span for span in spans if span.total == median)
        self.add_counts(name, span, goal, min=totals[0], max=totals[-1], count=len(totals), **more)

    def add_times(self, name, seconds, **more):
        """The median of many, in milliseconds, with the extremes."""
        times = sorted(round(1000 * one, 2) for one in seconds)
        self.add(name, statistics.median_low(times), "ms", min=times[0], max=times[-1], count=len(times), **more)

    def add_median(self, name, values, unit, goal=None, digits=2, **more):
        """The median of many, with the extremes."""
        value, least, most = (round(one, digits) for one in (statistics.median(values), min(values), max(values)))
        self.add(name, value, unit, goal, min=least, max=most, count=len(values), **more)

    def text(self):
        def cell(row, key):
            value = row.get(key)
            return "" if value is None else f"{value:,}" if isinstance(value, (int, float)) else value

        out = [f"{'':48} {'measured':>12} {'goal':>12}  {'':4} {'ring 0':>12} {'ring 3':>12}"]
        for row in self.rows:
            if row["value"] is None:
                out.append(f"{row['name']:48} {'-':>12}  not measured: {row['why']}")
                continue
            verdict = {True: "ok", False: "MISS", None: ""}[row["met"]]
            sign = "≥" if row.get("at_least") else "<"
            goal = f"{sign} {row['goal']:,}" if row["goal"] is not None else ""
            extremes = f"  {row['min']:,} … {row['max']:,} of {row['count']}" if "min" in row else ""
            effects = "".join(f", {row[key]:,} {key}" for key in EFFECTS if row.get(key))
            line = (
                f"{row['name']:48} {cell(row, 'value'):>12} {goal:>12}  {verdict:4} "
                f"{cell(row, 'ring0'):>12} {cell(row, 'ring3'):>12}  {row['unit']}{effects}{extremes}"
                f"{row.get('note', '')}"
            )
            out.append(line.rstrip())
        return "\n".join(out)

    def settle(self, other, choose):
        """Takes each counted row from this run or the other one, as min or max chooses."""
        second = {row["name"]: row for row in other.rows if row.get("counted")}
        self.rows = [choose(row, second.get(row["name"], row), key=lambda one: one["value"] or 0) for row in self.rows]

    def failures(self):
        """What --strict objects to."""
        return [
            row["name"]
            for row in self.rows
            if row["value"] is None and not row["excused"]
            or row["value"] is not None and row["met"] is False and row["name"] not in KNOWN_MISSES
        ]


def disagreements(one, other, tolerance=0.01):
    """Counted rows of two runs that differ by more than the tolerance."""
    second = {row["name"]: row["value"] for row in other.rows}
    for row in one.rows:
        value = second.get(row["name"])
        if row.get("counted") and value is not None:
            if abs(value - row["value"]) > tolerance * max(value, row["value"]):
                yield f"{row['name']}: {row['value']:,} and {value:,}"
