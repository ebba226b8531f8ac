"""Does a viewer stay as cheap, however many there are?"""

import rig
from rig import Goal, cost, median

CROWDS = (300, 1500, 6000)


def of_crowds(batch):
    costs = {count: [] for count in CROWDS}
    for turn in range(rig.RUNS):
        for count, found in costs.items():
            with rig.kaibo(batch) as server, rig.pushing(server):
                found.append(cost(rig.watch(server, count=count, ramp_ms=1, seconds=6, of=f"kaibo {batch} scaling")))
    said = ", ".join(f"{count}: {median(found):.2f}" for count, found in costs.items())
    ratio = median(many / few for few, many in zip(costs[CROWDS[0]], costs[CROWDS[-1]]))
    return Goal(f"CPU s/GB by viewers, batch = \"{batch}\"", "flat, ±10 %", said, "–", ratio, ratio <= 1.1)


def run():
    return [of_crowds("auto"), of_crowds("50ms")], {}
