"""Many streams with few viewers each beside one stream with as many viewers. As many as leave half of a core to the
viewers: HLS is cut for each stream, which alone takes nearly a whole core for 500."""

import rig
from rig import Goal, cost, median

STREAMS, EACH = 150, 4


def measure(batch):
    """What taking the streams in costs (HLS is cut for each of them) is measured too, without viewers, and taken off."""
    with rig.kaibo(batch) as server, rig.pushing(server):
        one = rig.watch(server, count=STREAMS * EACH, ramp_ms=1, of=f"kaibo {batch} 1 stream")
    with rig.kaibo(batch) as server:
        alone = rig.keep(f"kaibo {batch} {STREAMS} streams alone", rig.loadgen(
            "push", "--url", server.push_url("{i}"), "--file", rig.clip(), "--count", STREAMS, "--settle", 4, "--seconds", 6,
            "--pid", server.pid))
    with rig.kaibo(batch) as server, rig.pushing(server, "{i}", STREAMS, settle=4):
        many = rig.watch(server, "{i}", count=STREAMS * EACH, ramp_ms=1, streams=STREAMS,
                         of=f"kaibo {batch} {STREAMS} streams")
    ingest = alone["server"]["server_cpu_s"] / alone["server"]["window_s"]
    net = (many["server"]["server_cpu_s"] - ingest * many["server"]["window_s"]) / many["server"]["gb"]
    return {"one": cost(one), "many": cost(many), "net": net, "ingest": ingest, "faults": many["faults"],
            "busy": many["server"]["server_cpu_pct"]}


def of_streams(batch):
    found = [measure(batch) for turn in rig.turns(3)]
    one, many, net, ingest, busy = (median(each[key] for each in found) for key in ("one", "many", "net", "ingest", "busy"))
    ratio = median(each["net"] / each["one"] for each in found)
    return Goal(
        f"CPU s/GB, {STREAMS} streams × {EACH} viewers, batch = \"{batch}\", without what taking them in costs",
        f"≤ 1 × {STREAMS * EACH} viewers", f"{net:.2f}", f"1 stream {one:.2f}", ratio,
        ratio <= 1 and not any(each["faults"] for each in found),
        f"batch {batch}: taking {STREAMS} streams in is {100 * ingest:.0f} % of the core; {many:.2f} s/GB with it, "
        f"core {busy:.0f} %")


def run():
    return [of_streams("auto"), of_streams("50ms")], {}
