"""Many streams with few viewers each beside one stream with as many viewers. HLS is cut for each stream: to
take 500 of 2 Mbit/s in takes more than half of the core, and leaves too little to 2,000 viewers of so many bits. So there are
150 of them, and 500 of fewer bits."""

import rig
from rig import Goal, cost, median

EACH = 4
# Streams, batch, kbit/s.
CASES = (150, "auto", 1800), (150, "50ms", 1800), (500, "auto", 200), (500, "50ms", 200)
# Until all publishers are there, and gather as they do in the long run, in seconds.
SETTLE = 8


def measure(streams, batch, kbits):
    """What taking the streams in costs (HLS is cut for each of them) is measured too, without viewers, and taken off. It is
    less than with them: what nobody waits for is read in fewer and larger reads."""
    clip, of = rig.clip(kbits), f"kaibo {batch} {kbits} kbit/s"
    with rig.kaibo(batch) as server, rig.pushing(server, source=clip):
        one = rig.watch(server, count=streams * EACH, ramp_ms=1, of=f"{of} 1 stream")
    with rig.kaibo(batch) as server:
        alone = rig.keep(f"{of} {streams} streams alone", rig.loadgen(
            "push", "--url", server.push_url("{i}"), "--file", clip, "--count", streams, "--settle", SETTLE, "--seconds", 6,
            "--pid", server.pid))
    with rig.kaibo(batch) as server, rig.pushing(server, "{i}", streams, settle=SETTLE, source=clip):
        many = rig.watch(server, "{i}", count=streams * EACH, ramp_ms=1, streams=streams, of=f"{of} {streams} streams")
    ingest = alone["server"]["server_cpu_s"] / alone["server"]["window_s"]
    net = (many["server"]["server_cpu_s"] - ingest * many["server"]["window_s"]) / many["server"]["gb"]
    return {"one": cost(one), "many": cost(many), "net": net, "ingest": ingest, "faults": many["faults"],
            "busy": many["server"]["server_cpu_pct"]}


def of_streams(streams, batch, kbits):
    found = [measure(streams, batch, kbits) for turn in range(rig.RUNS)]
    one, many, net, ingest, busy = (median(each[key] for each in found) for key in ("one", "many", "net", "ingest", "busy"))
    ratio = median(each["net"] / each["one"] for each in found)
    return Goal(
        f"CPU s/GB, {streams} streams of {kbits} kbit/s × {EACH} viewers, batch = \"{batch}\", without what taking them in costs",
        f"≤ 1 × {streams * EACH} viewers", f"{net:.2f}", f"1 stream {one:.2f}", ratio,
        ratio <= 1 and not any(each["faults"] for each in found),
        f"batch {batch}: taking {streams} streams in is {100 * ingest:.0f} % of the core; {many:.2f} s/GB with it, "
        f"core {busy:.0f} %")


def run():
    return [of_streams(*case) for case in CASES], {}
