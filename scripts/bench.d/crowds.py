"""Does a viewer stay as cheap, however many there are?"""

import rig
from rig import Goal, cost

CROWDS = (300, 1500, 6000)


def of_crowds(batch):
    costs = {}
    for count in CROWDS:
        with rig.kaibo(batch) as server, rig.pushing(server):
            costs[count] = cost(rig.watch(server, count=count, ramp_ms=1, seconds=8, of=f"kaibo {batch} scaling"))
    said = ", ".join(f"{count}: {value:.2f}" for count, value in costs.items())
    ratio = costs[CROWDS[-1]] / costs[CROWDS[0]]
    return Goal(f"CPU s/GB by viewers, batch = \"{batch}\"", "flat, ±10 %", said, "–", ratio, ratio <= 1.1)


def run():
    return [of_crowds("auto"), of_crowds("50ms")], {}
