"""1,000 viewers who ask and never read, for a minute: the others' delays, the memory, and when they are dropped."""

import time
from concurrent.futures import ThreadPoolExecutor

import rig
from rig import Goal, delay

STALLED, OTHERS, SECONDS = 1000, 300, 60


def run():
    with rig.kaibo() as server, rig.pushing(server):
        before = rig.watch(server, count=OTHERS, seconds=20, sample=40, of="kaibo before others stall")
        with ThreadPoolExecutor() as pool:
            meanwhile = pool.submit(
                rig.watch, server, count=OTHERS, seconds=SECONDS, settle=6, sample=40, of="kaibo while others stall")
            # The others are there before the first of them and after the last: what the server has open tells how many
            # are left.
            time.sleep(3)
            stalled = rig.keep("kaibo, the stalled", rig.loadgen(
                "stall", "--url", server.watch_url("0"), "--count", STALLED, "--seconds", SECONDS - 20,
                "--pid", server.pid))
            meanwhile = meanwhile.result()
    was, now = delay(before)["p99"], delay(meanwhile)["p99"]
    kept = stalled["kept_s"] or {"p50": float("nan"), "max": float("nan")}
    return [
        Goal(f"{STALLED} stalled for {SECONDS} s (replaced when dropped): delay p99 of the other {OTHERS}", "± 10 %",
             f"{now:.2f} ms", f"without them {was:.2f} ms", now / was, now / was <= 1.1),
        Goal("… p50", "–", f"{delay(meanwhile)['p50']:.2f} ms", f"without them {delay(before)['p50']:.2f} ms", None, None),
        Goal("… memory per stalled viewer: kernel (both ends), server", "≤ 0.35 MB kernel",
             f"{stalled['socket_kb_per_viewer'] * 1024 / 1e6:.2f} MB, {stalled['rss_kb_per_viewer']:.1f} KiB", "–", None,
             stalled["socket_kb_per_viewer"] * 1024 / 1e6 <= 0.35),
        Goal(f"… dropped after p50 / max ({stalled['joined']} in all, {stalled['not_dropped']} never)", "≤ 15 s",
             f"{kept['p50']:.1f} / {kept['max']:.1f} s", "–", None, stalled["not_dropped"] == 0 and kept["max"] <= 15),
    ], {}
