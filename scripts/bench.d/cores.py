"""Two cores beside one. The load needs a core, too, and there are two: so what is compared is what a byte costs, and
whether the threads share the work. Two cores do twice as much, less what a byte costs more, if no thread has more than
half of it."""

import rig
from rig import Goal, cost, median

VIEWERS = 3000


def measure(core, of):
    with rig.kaibo("50ms", core=core) as server, rig.pushing(server):
        return rig.watch(server, count=VIEWERS, ramp_ms=1, of=of)


def run():
    pairs = [(measure("0", "kaibo on one core"), measure("0,1", "kaibo on two cores")) for _ in range(rig.RUNS)]
    one, two = (median(cost(pair[of]) for pair in pairs) for of in (0, 1))
    share = median(pair[1]["server"]["busiest_thread"] for pair in pairs)
    ratio = median(cost(a) / cost(b) for a, b in pairs) * min(2, 1 / share)
    goal = Goal(
        "two cores beside one, reckoned: CPU s/GB, and whether the threads share the work", "≥ 1.8 ×",
        f"{two:.2f} s/GB, busiest thread {100 * share:.0f} %", f"one core {one:.2f} s/GB", ratio, ratio >= 1.8,
        f"{VIEWERS} viewers, batch = \"50ms\"; the load shares the second core, which makes a byte dearer there")
    return [goal], {}
