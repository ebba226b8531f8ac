"""Many streams with few viewers each beside one stream with as many viewers. As many as leave half of a core to the
viewers: HLS is cut for each stream, which alone takes nearly a whole core for 500."""

import rig
from rig import Goal, cost

STREAMS, EACH = 150, 4


def of_streams(batch):
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
    of_many = many["server"]
    net = (of_many["server_cpu_s"] - ingest * of_many["window_s"]) / of_many["gb"]
    ratio = net / cost(one)
    return Goal(
        f"CPU s/GB, {STREAMS} streams × {EACH} viewers, batch = \"{batch}\", without what taking them in costs",
        f"≤ 1 × {STREAMS * EACH} viewers", f"{net:.2f}", f"1 stream {cost(one):.2f}", ratio,
        ratio <= 1 and not many["faults"],
        f"batch {batch}: taking {STREAMS} streams in is {100 * ingest:.0f} % of the core; {cost(many):.2f} s/GB with it, "
        f"core {of_many['server_cpu_pct']:.0f} %")


def run():
    return [of_streams("auto"), of_streams("50ms")], {}
