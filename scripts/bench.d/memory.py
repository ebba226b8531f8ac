"""What a viewer takes: resident memory of the server for one who watches, memory of the kernel for one who stalls."""

import rig
from rig import Goal

FEW, MANY = 100, 2100
STALLED = 1000


def run():
    goals = []
    for rtmp, name in ((False, "FLV"), (True, "RTMP")):
        rss = {}
        for count in (FEW, MANY):
            with rig.kaibo() as server, rig.pushing(server):
                # Both take equally long, so that the stream's own buffers have grown by the same.
                result = rig.watch(server, count=count, seconds=4, sample=10, ramp_ms=4200 / count, rtmp=rtmp,
                                   of=f"kaibo memory {name}")
                rss[count] = result["server"]["rss_kb_after"]
        each = (rss[MANY] - rss[FEW]) / (MANY - FEW)
        goals.append(Goal(f"memory per live viewer, {name}", "≤ 8 KiB", f"{each:.1f} KiB", "–", None, each <= 8))
        with rig.kaibo() as server, rig.pushing(server):
            stalled = rig.keep(f"kaibo stalled {name}", rig.loadgen(
                "stall", "--url", server.watch_url("0", rtmp), "--count", STALLED, "--seconds", 1, "--pid", server.pid))
        each = stalled["socket_kb_per_viewer"] / 1024
        goals.append(Goal(
            f"kernel memory per stalled viewer, {name} (TCP's queues, both ends on loopback)", "≤ 0.35 MB",
            f"{each * 1.048576:.2f} MB", "–", None, each * 1.048576 <= 0.35))
        goals.append(Goal(
            f"… dropped after p50 / max ({stalled['not_dropped']} of {STALLED} not at all)", "≤ 15 s",
            f"{stalled['kept_s']['p50']:.1f} / {stalled['kept_s']['max']:.1f} s" if stalled["kept_s"] else "never", "–", None,
            stalled["not_dropped"] == 0 and stalled["kept_s"]["max"] <= 15))
    return goals, {}
