"""What viewers cost: CPU seconds per GB of HTTP-FLV beside the floor, and the delay of a sample of the same viewers."""

import rig
from rig import Goal, cost, delay, median

VIEWERS = (300, 600)
# At 0 the floor writes every tag by itself, which "auto" does too where the core has time to spare.
PAIRS = (("auto", 0), ("50ms", 50))


def run():
    found = {}

    def add(*key, result):
        found.setdefault(key, []).append(result)

    for turn in range(rig.runs):
        for batch, floor_ms in PAIRS:
            for count in VIEWERS:
                with rig.floor(floor_ms) as server:
                    add("floor", batch, count, result=rig.watch(server, count=count, of=f"floor {floor_ms} ms"))
                with rig.kaibo(batch) as server, rig.pushing(server):
                    add("kaibo", batch, count, result=rig.watch(server, count=count, of=f"kaibo {batch}"))
        # The others take their time; twice is enough to see where they are.
        if turn < 2:
            for name, start in rig.peers():
                for count in VIEWERS:
                    with start() as server, rig.pushing(server):
                        add(name, "", count, result=rig.watch(server, count=count))

    goals, servers = [], []
    floors = {key: median(map(cost, results)) for key, results in found.items() if key[0] == "floor"}
    for (name, batch, count), results in sorted(found.items(), key=lambda item: -item[0][2]):
        of = ("floor", batch or "auto", count)
        if name == "floor":
            ratio = 1
        elif name == "kaibo":
            # Both of a pair were measured one after the other.
            ratio = median(cost(ours) / cost(least) for ours, least in zip(results, found[of]))
        else:
            ratio = median(map(cost, results)) / floors[of]
        servers.append({
            "server": name, "batch": batch, "viewers": count, "s_per_gb": median(map(cost, results)), "ratio": ratio,
            "p50": median(delay(result)["p50"] for result in results),
            "p99": median(delay(result)["p99"] for result in results),
            "rss_kib": median(result["rss_kb_per_viewer"] for result in results),
            "busy": median(result["server"]["server_cpu_pct"] for result in results),
        })
    of_peers = [line for line in servers if line["server"] not in ("floor", "kaibo")]
    for line in servers:
        if line["server"] != "kaibo":
            continue
        batch, count = line["batch"], line["viewers"]
        least = floors["floor", batch, count]
        beside = [f"floor {least:.2f}"]
        if batch == "auto":
            beside += [f"{peer['server']} {peer['s_per_gb']:.2f}" for peer in of_peers if peer["viewers"] == count]
        goals.append(Goal(
            f"{count} viewers, batch = \"{batch}\": CPU s/GB", "≤ 1.15 × the floor",
            f"{line['s_per_gb']:.2f}", ", ".join(beside), line["ratio"], line["ratio"] <= 1.15))
        if batch == "auto":
            beside = [f"{peer['server']} {peer['p50']:.2f} / {peer['p99']:.2f}" for peer in of_peers if peer["viewers"] == count]
            goals.append(Goal(
                f"… added delay p50 / p99 meanwhile (core {line['busy']:.0f} % busy)", "≤ 0.3 / ≤ 1 ms, core ≤ 30 % busy",
                f"{line['p50']:.2f} / {line['p99']:.2f} ms", ", ".join(beside), None,
                line["p50"] <= 0.3 and line["p99"] <= 1 if line["busy"] <= 30 else None))
    return goals, {"servers": servers}
