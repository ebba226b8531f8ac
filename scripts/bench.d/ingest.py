"""What a publisher costs: 100 of them with HLS and recording, and nothing else."""

import rig
from rig import Goal, median

STREAMS = 100
# The goal is 0.16 % on a machine where nginx takes 0.25 %; others are faster or slower.
SHARE = 0.16 / 0.25
# The windows of media in memory grow with the bitrate, the rest does not: a second clip tells them apart.
KBITS, FEW_KBITS = 1800, 200
NGINX = """hls on; hls_path FOLDER/hls; hls_fragment 2s; hls_playlist_length 30s;
  record all; record_path FOLDER; record_unique on;"""


def push(server, kbits, of):
    result = rig.keep(of, rig.loadgen(
        "push", "--url", server.push_url("s{i}"), "--file", rig.clip(kbits), "--count", STREAMS, "--settle", 4,
        "--seconds", 12, "--pid", server.pid))
    if result["alive"] < STREAMS or result["max_behind_ms"] > 1000:
        rig.complaints.append(f"{of}: {result['alive']} of {STREAMS} alive, held up for {result['max_behind_ms']} ms")
    return result


def run():
    ours, few, theirs = [], [], []
    for turn in range(rig.RUNS):
        with rig.kaibo(record=True) as server:
            ours.append(push(server, KBITS, "kaibo HLS and recording"))
        with rig.nginx(NGINX) as server:
            theirs.append(push(server, KBITS, "nginx-rtmp HLS and recording"))
        with rig.kaibo(record=True) as server:
            few.append(push(server, FEW_KBITS, "kaibo HLS and recording, few bits"))

    def percent(results):
        return median(result["server"]["server_cpu_pct"] for result in results) / STREAMS

    def mib(results):
        return median(result["rss_kb_per_stream"] for result in results) / 1024

    ratio = median(a["server"]["server_cpu_s"] / b["server"]["server_cpu_s"] for a, b in zip(ours, theirs))
    # To no bits at all.
    size, few_size = (rig.clip(kbits).stat().st_size for kbits in (KBITS, FEW_KBITS))
    besides = max(0, mib(few) - (mib(ours) - mib(few)) * few_size / (size - few_size))
    return [
        Goal(f"ingest, HLS and recording, {STREAMS} streams: % of a core per stream", "≤ 0.64 × nginx (0.16 of 0.25 %)",
             f"{percent(ours):.3f} %", f"nginx-rtmp {percent(theirs):.3f} %", ratio, ratio <= SHARE),
        Goal("… memory per stream besides the windows of media", "≤ 1 MiB",
             f"{besides:.2f} MiB ({mib(ours):.1f} with them)", f"nginx-rtmp {mib(theirs):.2f} MiB", None, besides <= 1),
    ], {}
