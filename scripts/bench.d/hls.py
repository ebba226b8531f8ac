"""HLS over HTTP beside nginx with the same bytes as files: segments of 1 MB and playlists, as fast as one core can."""

import os
import pathlib
import re
import subprocess
import time
import urllib.parse
import urllib.request

import rig
from rig import Goal, median

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """Of a process and the children it has now."""
    total = 0
    for process in pathlib.Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                fields = (process / "stat").read_text().rsplit(")")[-1].split()
            except OSError:
                continue
            if int(process.name) == pid or int(fields[1]) == pid:
                total += sum(map(int, fields[11:13]))
    return total / TICKS


def wrk(server, url, of):
    before = cpu_s(server.pid)
    done = subprocess.run(["taskset", "-c", rig.LOAD_CORE, "wrk", "-t1", "-c16", "-d5s", url],
                          capture_output=True, text=True, timeout=60, check=True).stdout
    cpu = cpu_s(server.pid) - before
    requests, seconds = re.search(r"(\d+) requests in ([\d.]+)s", done).groups()
    size = len(get(url))
    requests, seconds = int(requests), float(seconds)
    found = {
        "bytes": size, "cpu_s": cpu, "busy": cpu / seconds, "requests_per_s": requests / seconds,
        "requests_per_cpu_s": requests / cpu, "gb_per_s": requests * size / seconds / 1e9,
        "gb_per_cpu_s": requests * size / cpu / 1e9}
    if wrong := re.findall(r"Non-2xx or 3xx responses: \d+|Socket errors.*", done):
        rig.complaints.append(f"{of}: {wrong[0]}")
    return rig.keep(of, found)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def lists(url):
    """The addresses in a playlist, whole ones."""
    lines = get(url).decode().splitlines()
    return [urllib.parse.urljoin(url, line) for line in lines if line and not line.startswith("#")]


def run():
    found = {}
    for turn in range(rig.RUNS):
        # Of two GOPs of 2 s: 1 MB.
        with rig.kaibo(record=True, HLS__SEGMENT="4s") as server, rig.pushing(server, settle=15):
            (playlist, *_) = lists(f"http://{server.http}/live/0.m3u8")
            broadcast = next(pathlib.Path(server.folder, "media").iterdir()).name
            replay = lists(f"http://{server.http}/replay/{broadcast}.m3u8")
            segments = {"live": lists(playlist)[-1], "replay": replay[0]}
            bytes_of = {name: get(url) for name, url in segments.items()}
            list_bytes = get(playlist)
            for name, url in segments.items():
                found.setdefault(name, []).append(wrk(server, url, f"kaibo {name} segment"))
            found.setdefault("playlist", []).append(wrk(server, playlist, "kaibo playlist"))
        with rig.nginx() as server:
            (server.folder / "s.m4s").write_bytes(bytes_of["replay"])
            (server.folder / "s.m3u8").write_bytes(list_bytes)
            found.setdefault("nginx file", []).append(wrk(server, f"http://{server.http}/s.m4s", "nginx segment"))
            found.setdefault("nginx playlist", []).append(wrk(server, f"http://{server.http}/s.m3u8", "nginx playlist"))

    goals = []
    for name, theirs, what, key, rate in (
            ("live", "nginx file", "GB per CPU second", "gb_per_cpu_s", "gb_per_s"),
            ("replay", "nginx file", "GB per CPU second", "gb_per_cpu_s", "gb_per_s"),
            ("playlist", "nginx playlist", "answers per CPU second", "requests_per_cpu_s", "requests_per_s")):
        ours, others = found[name], found[theirs]
        size = ours[0]["bytes"]
        ratio = median(a[key] / b[key] for a, b in zip(ours, others))

        def say(results):
            digits = 0 if key.startswith("requests") else 2
            return (f"{median(r[key] for r in results):.{digits}f} (at {median(r[rate] for r in results):.{digits}f}/s, "
                    f"core {100 * median(r['busy'] for r in results):.0f} %)")

        of = f"HLS segment of {size / 1e6:.2f} MB, {name}"
        if name == "playlist":
            of = f"HLS playlist of {size} bytes"
        goals.append(Goal(f"{of}: {what}", "≥ nginx", say(ours), f"nginx {say(others)}", ratio, ratio >= 1))
    return goals, {}
