"""What is printed and written in the end."""

import json
import os
import platform
import shutil
import subprocess
import sys

import plot
import rig

# What INTO replaces: the table of goals, or everything.
BEGIN, END = "<!-- scripts/bench: {} -->", "<!-- end of scripts/bench -->"


def processor():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return names[0] if names else "an unknown processor"


def number(value):
    return "–" if value is None or value != value else f"{value:.2f}"


def table(heads, lines):
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def goals_table(goals):
    said = {True: "yes", False: "**no**", None: "–"}
    return table(["what", "goal", "Kaibo", "ratio", "beside it", "met"], [
        [goal["what"], goal["goal"], goal["ours"], number(goal["ratio"]), goal["beside"], said[goal["met"]]]
        for goal in goals])


def servers_table(servers):
    lines = [[
        plot.title(line), str(line["viewers"]), number(line["s_per_gb"]), number(line["ratio"]),
        f"{number(line['p50'])} / {number(line['p99'])}", f"{line['rss_kib']:.0f}", f"{line['busy']:.0f} %",
    ] for line in servers]
    heads = ["server", "viewers", "CPU s/GB", "to the floor", "delay p50 / p99 ms", "KiB/viewer", "core busy"]
    return table(heads, lines)


def forget(out):
    for path in out.glob("*.row.json"):
        path.unlink()


def save(out, row, goals, data, seconds):
    """What a row found, until it is measured anew."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=rig.ROOT, capture_output=True, text=True).stdout
    found = {"row": row, "commit": commit.strip(), "runs": rig.RUNS, "seconds": round(seconds),
             "goals": [vars(goal) for goal in goals], **data, "complaints": rig.complaints}
    (out / f"{row}.row.json").write_text(json.dumps(found, indent=1))
    print(f"{row}: {seconds:.0f} s", file=sys.stderr)


def put(path, name, lines):
    """Between the two marks, whatever is there."""
    text, begin = path.read_text(), BEGIN.format(name)
    if begin in text:
        before, rest = text.split(begin)
        _, after = rest.split(END)
        path.write_text("\n".join([before + begin, "", *lines, "", END + after]))


def write(out, order):
    """The table of all rows in the folder `out`, and the plot."""
    rows = [json.loads(path.read_text()) for row in order if (path := out / f"{row}.row.json").exists()]
    measured = ", ".join(f"{row['row']} ({row['runs']}, {row['seconds']} s)" for row in rows)
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    goals = [goal for row in rows for goal in row["goals"]]
    machine = f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}"
    short = [f"{machine}, at {commits}:", "", *goals_table(goals)]
    lines = [*short, "", f"How often each row measured Kaibo, and how long that took: {measured}."]
    servers = next((row["servers"] for row in rows if row.get("servers")), None)
    if servers:
        lines += ["", *servers_table(servers)]
    lines += ["", *(f"- {goal['what']}: {goal['more']}" for goal in goals if goal["more"])]
    complaints = [f"- {row['row']}: {complaint}" for row in rows for complaint in row["complaints"]]
    if complaints:
        lines += ["", "Not as it should be:", "", *complaints]
    text = "\n".join(lines) + "\n"
    print(text)
    (out / "table.md").write_text(text)
    for path in os.environ.get("INTO", "").split():
        put(rig.ROOT / path, "goals", short)
        put(rig.ROOT / path, "all", lines)
    if servers and shutil.which("gnuplot"):
        plot.draw(servers, os.environ.get("PLOT", out / "bench.png"))
