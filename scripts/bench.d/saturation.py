"""How many viewers of 2 Mbit/s one core has room for: nobody stalls, misses anything or falls behind, and 99 % of the
pictures are no more than 60 ms late."""

import os

import rig
from rig import Goal, cost, delay

STEPS = [int(step) for step in os.environ.get("STEPS", "2000 3000 3500 4000 4500 5000 6000 7500").split()]
P99_MS = 60


def climb(start, steps, of, pushed=True):
    """The largest step that holds, and what was measured at each."""
    best, seen = 0, []
    for count in steps:
        with start() as server, rig.pushing(server) if pushed else rig.nobody():
            # It is meant to fail somewhere.
            result = rig.watch(server, count=count, seconds=8, settle=3, sample=40, ramp_ms=1, of=of, may_fail=True)
        seen.append((count, result))
        if result["faults"] or delay(result)["p99"] > P99_MS:
            break
        best = count
    return best, seen


def describe(seen):
    return "; ".join(
        f"{count}: {delay(result)['p50']:.0f} / {delay(result)['p99']:.0f} ms, {cost(result):.2f} s/GB, "
        f"core {result['server']['server_cpu_pct']:.0f} %, load's core {result['server']['core_busy_pct'][1]:.0f} %"
        + (f" ({', '.join(result['faults'])})" if result["faults"] else "") for count, result in seen)


def run():
    # The worse of two climbs: the floor climbs once, and a lucky one is nobody's.
    climbs = [climb(lambda: rig.kaibo("auto"), STEPS, "kaibo auto") for _ in rig.turns(2)]
    best, seen = min(climbs, key=lambda climbed: climbed[0])
    # Its frames have not waited when they come to be written: it has 50 ms more than a server.
    least, at = climb(lambda: rig.floor(50), STEPS, "floor 50 ms", pushed=False)
    beside, more = [f"floor {least}"], f"by viewers: {describe(seen)}. The floor, 50 ms in a write: {describe(at)}"
    for name, start in rig.peers():
        if name == "nginx-rtmp":
            theirs, at = climb(start, STEPS, name)
            beside.append(f"{name} {theirs}")
            more += f". {name}: {describe(at)}"
    goals = [Goal("viewers of 2 Mbit/s on one core, delay p99 ≤ 60 ms, nobody stalled", "≥ 6000",
                  str(best), ", ".join(beside), best / least if least else None, best >= 6000, more)]
    return goals, {"saturation": [{
        "viewers": count, **delay(result), "s_per_gb": cost(result), "busy": result["server"]["server_cpu_pct"],
        "faults": result["faults"]} for count, result in seen]}
