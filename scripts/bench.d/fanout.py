"""What viewers cost: CPU seconds per GB of HTTP-FLV beside the floor, and the delay of a sample of the same viewers."""

import rig
from rig import Goal, cost, delay, median

FEW, MANY = 300, 600
# At 0 the floor writes every tag by itself, which "auto" does too where the core has time to spare.
PAIRS = (("auto", 0), ("50ms", 50))


def measure():
    """What was measured, by server, batch and number of viewers."""
    found = {}

    def add(name, batch, count, start, pushed=True):
        with start as server, rig.pushing(server) if pushed else rig.nobody():
            result = rig.watch(server, count=count, of=f"{name} {batch}".strip())
        found.setdefault((name, batch, count), []).append(result)

    for turn in range(rig.RUNS):
        for batch, floor_ms in PAIRS:
            for count in (FEW, MANY):
                add("floor", batch, count, rig.floor(floor_ms), pushed=False)
                add("kaibo", batch, count, rig.kaibo(batch))
        # The others take their time; twice is enough to see where they are.
        if turn < 2:
            for name, start in rig.peers():
                for count in (FEW, MANY):
                    add(name, "", count, start())
    return found


def summary(found):
    """One line for each server, batch and number of viewers."""
    lines = []
    for (name, batch, count), results in sorted(found.items(), key=lambda item: -item[0][2]):
        # Both of a pair were measured one after the other; the rest is compared as a whole.
        floors = found["floor", batch or "auto", count]
        if name == "kaibo":
            ratio = median(cost(ours) / cost(least) for ours, least in zip(results, floors))
        else:
            ratio = median(map(cost, results)) / median(map(cost, floors))

        def rss(of):
            return median(result["server"]["rss_kb_after"] for result in found[name, batch, of])

        lines.append({
            "server": name, "batch": batch, "viewers": count, "s_per_gb": median(map(cost, results)), "ratio": ratio,
            "p50": median(delay(result)["p50"] for result in results),
            "p99": median(delay(result)["p99"] for result in results),
            # What the stream itself takes is in both.
            "rss_kib": (rss(MANY) - rss(FEW)) / (MANY - FEW),
            "busy": median(result["server"]["server_cpu_pct"] for result in results),
        })
    return lines


def run():
    servers = summary(measure())
    goals = []
    for ours in servers:
        if ours["server"] != "kaibo":
            continue
        batch, count = ours["batch"], ours["viewers"]
        same = [line for line in servers if line["viewers"] == count]
        least = next(line for line in same if line["server"] == "floor" and line["batch"] == batch)
        beside = [least] + [line for line in same if line["server"] not in ("floor", "kaibo") and batch == "auto"]
        goals.append(Goal(
            f"{count} viewers, batch = \"{batch}\": CPU s/GB", "≤ 1.15 × the floor", f"{ours['s_per_gb']:.2f}",
            ", ".join(f"{line['server']} {line['s_per_gb']:.2f}" for line in beside), ours["ratio"],
            ours["ratio"] <= 1.15))
        if batch == "auto":
            met = ours["p50"] <= 0.3 and ours["p99"] <= 1
            goals.append(Goal(
                f"… their added delay p50 / p99 (core {ours['busy']:.0f} % busy; ratio of p99)",
                "≤ 0.3 / ≤ 1 ms, core ≤ 30 % busy", f"{ours['p50']:.2f} / {ours['p99']:.2f} ms",
                ", ".join(f"{line['server']} {line['p50']:.2f} / {line['p99']:.2f}" for line in beside),
                ours["p99"] / least["p99"], met if ours["busy"] <= 31 else None))
    return goals, {"servers": servers}
