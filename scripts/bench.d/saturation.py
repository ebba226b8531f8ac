"""How many viewers of 2 Mbit/s one core has room for: nobody stalls, misses anything or falls behind, and 99 % of the
pictures are no more than 60 ms late."""

import os

import rig
from rig import Goal, cost, delay

STEPS = [int(step) for step in os.environ.get("STEPS", "3000 3500 4000 4500 5000 6000 7500").split()]
P99_MS = 60


def climb(start, steps, of, pushed=True):
    """The largest step that holds, and what was measured at each."""
    best, seen = 0, []
    for count in steps:
        with start() as server, rig.pushing(server) if pushed else rig.nobody():
            # It is meant to fail somewhere.
            try:
                result = rig.watch(server, count=count, seconds=8, settle=3, sample=40, ramp_ms=1, of=of, may_fail=True)
            except rig.Overrun:
                result = None
        seen.append((count, result))
        if result is None or result["faults"] or delay(result)["p99"] > P99_MS:
            break
        best = count
    return best, seen


def describe(seen):
    return "; ".join(f"{count}: {describe_one(result)}" for count, result in seen)


def describe_one(result):
    if result is None:
        return f"not over after {rig.LIMIT} s"
    faults = f" ({', '.join(result['faults'])})" if result["faults"] else ""
    return (f"{delay(result)['p50']:.0f} / {delay(result)['p99']:.0f} ms, {cost(result):.2f} s/GB, "
            f"core {result['server']['server_cpu_pct']:.0f} %, load's core {result['server']['core_busy_pct'][1]:.0f} %"
            f"{faults}")


def middle(climbs):
    """That which ended at the median, or just below."""
    return sorted(climbs, key=lambda climbed: climbed[0])[(len(climbs) - 1) // 2]


def said(climbs):
    """The median, and all."""
    def one(best):
        return str(best) if best else f"below {STEPS[0]}"

    ends = sorted(best for best, _ in climbs)
    return one(middle(climbs)[0]) + (f" (of {', '.join(map(one, ends))})" if ends[0] != ends[-1] else "")


def run():
    ours, floors, theirs = [], [], []
    for turn in range(rig.RUNS):
        ours.append(climb(lambda: rig.kaibo("auto"), STEPS, "kaibo auto"))
        # Its frames have not waited when they come to be written: it has 50 ms more than a server.
        floors.append(climb(lambda: rig.floor(50), STEPS, "floor 50 ms", pushed=False))
        for name, start in rig.peers():
            if name == "nginx-rtmp":
                theirs.append(climb(start, STEPS, name))
    best, seen = middle(ours)
    least, at = middle(floors)
    beside = [f"floor {said(floors)}"]
    more = f"by viewers: {describe(seen)}. The floor, 50 ms in a write: {describe(at)}"
    if theirs:
        beside.append(f"nginx-rtmp {said(theirs)}")
        more += f". nginx-rtmp: {describe(middle(theirs)[1])}"
    goals = [Goal("viewers of 2 Mbit/s on one core, delay p99 ≤ 60 ms, nobody stalled", "≥ 6000",
                  said(ours), ", ".join(beside), best / least if least else None, best >= 6000, more)]
    return goals, {"saturation": [{
        "viewers": count, **delay(result), "s_per_gb": cost(result), "busy": result["server"]["server_cpu_pct"],
        "faults": result["faults"]} for count, result in seen if result]}
