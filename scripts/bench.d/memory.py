"""What a viewer takes: resident memory of the server for one who watches, memory of the kernel for one who stalls."""

import rig
from rig import Goal, median

FEW, MANY = 100, 2100
STALLED = 1000


def kib_of_live(rtmp, name):
    rss = {}
    for count in (FEW, MANY):
        with rig.kaibo() as server, rig.pushing(server):
            # Both take equally long, so that the stream's own buffers have grown by the same.
            result = rig.watch(server, count=count, seconds=4, sample=10, ramp_ms=4200 / count, rtmp=rtmp,
                               of=f"kaibo memory {name}")
            rss[count] = result["server"]["rss_kb_after"]
    return (rss[MANY] - rss[FEW]) / (MANY - FEW)


def stalled(rtmp, name):
    with rig.kaibo() as server, rig.pushing(server):
        return rig.keep(f"kaibo stalled {name}", rig.loadgen(
            "stall", "--url", server.watch_url("0", rtmp), "--count", STALLED, "--seconds", 1, "--pid", server.pid))


def run():
    goals = []
    for rtmp, name in ((False, "FLV"), (True, "RTMP")):
        each = median(kib_of_live(rtmp, name) for turn in range(rig.RUNS))
        goals.append(Goal(f"memory per live viewer, {name}", "≤ 8 KiB", f"{each:.1f} KiB", "–", None, each <= 8))
        found = [stalled(rtmp, name) for turn in range(rig.RUNS)]
        each = median(result["socket_kb_per_viewer"] for result in found) / 1024
        goals.append(Goal(
            f"kernel memory per stalled viewer, {name} (TCP's queues, both ends on loopback)", "≤ 0.35 MB",
            f"{each * 1.048576:.2f} MB", "–", None, each * 1.048576 <= 0.35))
        goals.append(rig.dropped(found, f"{STALLED} each time"))
    return goals, {}
