"""1,000 viewers who ask and never read, for a minute: the others' delays, the memory, and when they are dropped."""

import time
from concurrent.futures import ThreadPoolExecutor

import rig
from rig import Goal, delay, median

STALLED, OTHERS, SECONDS = 1000, 300, 60


def measure():
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
            return delay(before), delay(meanwhile.result()), stalled


def run():
    before, meanwhile, stalled = zip(*(measure() for turn in range(rig.RUNS)))

    def said(at):
        was, now = (median(each[at] for each in delays) for delays in (before, meanwhile))
        ratio = median(b[at] / a[at] for a, b in zip(before, meanwhile))
        return f"{now:.2f} ms", f"without them {was:.2f} ms", ratio

    p99 = said("p99")
    kernel = median(each["socket_kb_per_viewer"] for each in stalled) * 1024 / 1e6
    own = median(each["rss_kb_per_viewer"] for each in stalled)
    return [
        Goal(f"{STALLED} stalled for {SECONDS} s (replaced when dropped): delay p99 of the other {OTHERS}", "± 10 %",
             *p99, p99[-1] <= 1.1),
        Goal("… p50", "–", *said("p50")),
        Goal("… memory per stalled viewer: kernel (both ends), server", "≤ 0.35 MB kernel",
             f"{kernel:.2f} MB, {own:.1f} KiB", "–", None, kernel <= 0.35),
        rig.dropped(stalled, "and those who replaced them"),
    ], {}
