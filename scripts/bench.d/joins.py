"""One viewer: added delay and the time to the first keyframe, on an idle server and beside 300 others."""

import math
import time

import rig
from rig import Goal

JOINS = 60


def latency(server, joins=JOINS, of=""):
    """Publishes by itself; joins and watches."""
    flv = ["--flv", server.watch_url("delay")] if server.flv else []
    of = of or server.name
    result = rig.keep(of, rig.loadgen(
        "latency", "--publish", server.push_url("delay"), *flv, "--rtmp", server.push_url("delay"),
        "--file", rig.clip(), "--joins", joins, "--seconds", 13))
    for protocol in ("flv", "rtmp"):
        if error := result.get(protocol, {}).get("error"):
            rig.complaints.append(f"{of}, {protocol}: {error}")
    return result


def pair(spread):
    return f"{spread['p50']:.2f} / {spread['p99']:.2f}" if spread else "–"


def run():
    idle, busy, peers = [], [], []
    for turn in range(rig.RUNS):
        with rig.kaibo() as server:
            idle.append(latency(server, of="kaibo idle"))
        with rig.kaibo() as server, rig.pushing(server):
            crowd = rig.spawn(rig.LOAD_CORE, [
                rig.loadgen_bin, "flv", "--url", server.watch_url("0"), "--count", 300, "--sample", 1, "--seconds", 60])
            # They have joined, and have the GOP that each began with.
            time.sleep(3)
            busy.append(latency(server, of="kaibo beside 300 viewers"))
            rig.stop(crowd)
    # To see where they are, once.
    for name, start in rig.peers():
        with start() as server:
            # Without a GOP cache each join waits for the next keyframe.
            peers.append((name, latency(server, 8 if name == "nginx-rtmp" else JOINS // 2)))

    def middle(results, protocol, what):
        spreads = [result[protocol].get(what) or {"p50": math.inf, "p99": math.inf} for result in results]
        return {at: rig.median(spread[at] for spread in spreads) for at in ("p50", "p99")}

    goals = []
    for protocol, name in (("flv", "FLV"), ("rtmp", "RTMP")):
        for what, title, goal in (
                ("delay_ms", "added delay", (0.3, 1)), ("first_key_ms", "join to the first keyframe", (1, 5))):
            beside = [f"{peer} {pair(result[protocol][what])}" for peer, result in peers
                      if protocol in result and what in result[protocol]]
            for results, where in ((idle, "idle server"), (busy, "300 viewers beside")):
                spread = middle(results, protocol, what)
                met = spread["p50"] <= goal[0] and spread["p99"] <= goal[1]
                goals.append(Goal(f"{name}, {title} p50 / p99, {where}", f"≤ {goal[0]} / ≤ {goal[1]} ms",
                                  f"{pair(spread)} ms", results is idle and ", ".join(beside) or "–", None, met))
    return goals, {"single": [{"server": name, **result} for name, result in [("kaibo", idle[-1]), *peers]]}
