"""The picture of the fan-out row: what a GB costs each server, and how late its viewers' pictures are."""

import subprocess

OURS, FLOOR, THEIRS = "#2f9e6e", "#9aa5b1", "#d08a45"

SCRIPT = """
set terminal pngcairo size 1200,{height} font "DejaVu Sans,13" background "#ffffff"
set output "{target}"
set multiplot title "{viewers} viewers of 2 Mbit/s on one core" font ",16"
set style fill solid 1.0 noborder
set border 0
set yrange [{count}-0.4:-0.6]
set tics scale 0 nomirror
set grid xtics lc rgb "#e3e7eb" lt 1
unset key
set tmargin screen 0.80; set bmargin screen 0.11

set title "CPU seconds per GB (less is cheaper)"
set lmargin screen 0.22; set rmargin screen 0.57
set ytics ({names})
set xrange [0:{most}]
plot "-" using ($2/2):1:($2/2):(0.32):3 with boxxyerror lc rgb variable, \\
     "-" using ($2):1:3 with labels left offset 0.6,0 tc rgb "#333333"
{bars}
e
{labels}
e

set title "added delay: p50 to p99, ms"
set lmargin screen 0.62; set rmargin screen 0.94
set ytics ({empty})
set logscale x
set xrange [{shortest}:{longest}]
set xtics (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
plot "-" using 2:1:2:3:($1-0.16):($1+0.16):4 with boxxyerror lc rgb variable, \\
     "-" using ($2):1:3 with labels left offset 0.6,0 tc rgb "#333333"
{spans}
e
{spans_said}
e
unset multiplot
"""


def decimals(value):
    """Two digits of what is below 10; nobody reads tenths of more."""
    return 1 if value < 10 else 0


def title(line):
    name = {"floor": "the floor", "kaibo": "Kaibo"}.get(line["server"], line["server"])
    how = {"auto": "frame by frame" if line["server"] == "floor" else "auto", "50ms": "50 ms"}.get(line["batch"])
    return f"{name}, {how}" if how else name


def draw(servers, target):
    """`servers` as the fan-out row has them. The largest crowd is shown, each kind of batch behind its floor."""
    viewers = max(line["viewers"] for line in servers)
    order = {"floor": 0, "kaibo": 1}
    lines = sorted((line for line in servers if line["viewers"] == viewers),
                   key=lambda line: (line["batch"] == "50ms", order.get(line["server"], 2), line["s_per_gb"]))
    colour = {"floor": FLOOR, "kaibo": OURS}
    bars, labels, spans, said, names = [], [], [], [], []
    for at, line in enumerate(lines):
        names.append(f'"{title(line)}" {at}')
        shade = int(colour.get(line["server"], THEIRS)[1:], 16)
        bars.append(f"{at} {line['s_per_gb']} {shade}")
        labels.append(f'{at} {line["s_per_gb"]} "{line["s_per_gb"]:.2f}"')
        if line["p50"] == line["p50"]:
            spans.append(f"{at} {line['p50']} {line['p99']} {shade}")
            said.append(f'{at} {line["p99"]} "{line["p50"]:.{decimals(line["p50"])}f} – {line["p99"]:.{decimals(line["p99"])}f}"')
    delays = [float(span.split()[n]) for span in spans for n in (1, 2)]
    script = SCRIPT.format(
        target=target, viewers=viewers, height=150 + 46 * len(lines), count=len(lines), names=", ".join(names),
        empty=", ".join(f'"" {at}' for at in range(len(lines))), most=1.18 * max(line["s_per_gb"] for line in lines),
        bars="\n".join(bars), labels="\n".join(labels), spans="\n".join(spans), spans_said="\n".join(said),
        shortest=min(delays) / 2, longest=max(delays) * 5)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
