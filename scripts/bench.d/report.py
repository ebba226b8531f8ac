"""What is printed and written in the end."""

import json
import os
import shutil
import sys

import plot
import rig


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
        [goal.what, goal.goal, goal.ours, number(goal.ratio), goal.beside, said[goal.met]] for _, goal in goals])


def servers_table(servers):
    lines = [[
        f"{line['server']} {line['batch']}".strip(), str(line["viewers"]), number(line["s_per_gb"]), number(line["ratio"]),
        f"{number(line['p50'])} / {number(line['p99'])}", f"{line['rss_kib']:.0f}", f"{line['busy']:.0f} %",
    ] for line in servers]
    return table(["server", "viewers", "CPU s/GB", "to the floor", "delay p50 / p99 ms", "KiB/viewer", "core busy"], lines)


def write(out, goals, data, about):
    lines = [f"{about['machine']}, {about['runs']} runs, {about['seconds']} s: ROWS=\"{' '.join(about['rows'])}\"", ""]
    lines += goals_table(goals)
    if "servers" in data:
        lines += ["", *servers_table(data["servers"])]
    if rig.complaints:
        lines += ["", "Not as it should be:", "", *(f"- {complaint}" for complaint in rig.complaints)]
    text = "\n".join(lines) + "\n"
    print(text)
    (out / "table.md").write_text(text)
    entries = [{"row": row, **vars(goal)} for row, goal in goals]
    (out / "results.json").write_text(json.dumps({**about, "goals": entries, **data, "complaints": rig.complaints}, indent=1))
    if "servers" in data:
        if shutil.which("gnuplot"):
            plot.draw(data["servers"], os.environ.get("PLOT", out / "bench.png"))
        else:
            print("no plot without gnuplot", file=sys.stderr)
