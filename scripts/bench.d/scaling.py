"""Does it stay as cheap: with more viewers, with many streams, on two cores?"""

import rig
from rig import Goal, cost, median

CROWDS = (300, 1500, 6000)
STREAMS, EACH = 500, 4
ON_TWO = 3000


def of_crowds(batch):
    costs = {}
    for count in CROWDS:
        with rig.kaibo(batch) as server, rig.pushing(server):
            costs[count] = cost(rig.watch(server, count=count, ramp_ms=1, seconds=8, of=f"kaibo {batch} scaling"))
    said = ", ".join(f"{count}: {value:.2f}" for count, value in costs.items())
    ratio = costs[CROWDS[-1]] / costs[CROWDS[0]]
    return Goal(f"CPU s/GB by viewers, batch = \"{batch}\"", "flat, ±10 %", said, "–", ratio, ratio <= 1.1)


def of_streams(batch):
    """Many streams beside one, with as many viewers. What taking the streams in costs (HLS is cut for each of them) is
    measured too, without viewers, and taken off."""
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
        f"≤ 1 × {STREAMS * EACH} viewers", f"{net:.2f}", f"1 stream {cost(one):.2f}", ratio, ratio <= 1,
        f"batch {batch}: taking {STREAMS} streams in is {100 * ingest:.0f} % of the core; {cost(many):.2f} s/GB with it, "
        f"core {of_many['server_cpu_pct']:.0f} %")


def of_cores():
    """The load needs a core, too, and there are two: so what is compared is what a byte costs, and whether the work is
    shared. Two cores then do twice as much, less what a byte costs more, if no thread has more than half of it."""
    def measure(core, of):
        with rig.kaibo("50ms", core=core) as server, rig.pushing(server):
            return rig.watch(server, count=ON_TWO, ramp_ms=1, of=of)

    pairs = [(measure("0", "kaibo on one core"), measure("0,1", "kaibo on two cores")) for _ in range(min(rig.runs, 2))]
    one, two = (median(cost(pair[of]) for pair in pairs) for of in (0, 1))
    share = median(pair[1]["server"]["busiest_thread"] for pair in pairs)
    ratio = median(cost(a) / cost(b) for a, b in pairs) * min(2, 1 / share)
    return Goal(
        "two cores beside one, reckoned: CPU s/GB, and whether the threads share the work", "≥ 1.8 ×",
        f"{two:.2f} s/GB, busiest thread {100 * share:.0f} %", f"one core {one:.2f} s/GB", ratio, ratio >= 1.8,
        f"{ON_TWO} viewers, batch = \"50ms\"; the load shares the second core, which makes a byte dearer there")


def run():
    return [of_crowds("auto"), of_crowds("50ms"), of_streams("auto"), of_streams("50ms"), of_cores()], {}
