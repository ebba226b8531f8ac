"""The rig: processes on their cores, the servers that are measured, and the load. Loopback only; every process has a
time limit and is ended by its id."""

import contextlib
import json
import math
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Absolute: servers are started in folders of their own.
PEERS = pathlib.Path(os.environ.get("PEERS", ROOT / "tests/tools/peers")).absolute()
# The server has the first core to itself, the load the other.
SERVER_CORE, LOAD_CORE = "0", "1"
# No process of a measurement lives longer than this, in seconds.
LIMIT = 150
# 1280x720, 30 fps, B-frames, 2 s GOP, AAC 128 kbit/s: what a streamer sends. kbit/s of video are filled in.
CLIP = """-f lavfi -i testsrc2=size=1280x720:rate=30,noise=alls=12:allf=t -f lavfi -i sine=sample_rate=44100 -t 60
  -c:v libx264 -preset veryfast -b:v {0}k -maxrate {0}k -bufsize {1}k -bf 2 -pix_fmt yuv420p
  -x264-params keyint=60:min-keyint=60:scenecut=0:nal-hrd=cbr -c:a aac -b:a 128k -ac 2 -f flv"""

work = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
os.chmod(work, 0o755)
running = []
complaints = []
# How often each row measures this server; what it tells are medians.
RUNS = int(os.environ.get("RUNS", "5"))
_measured = open(os.devnull, "w")


def begin(out, row):
    """Every measurement of the row goes into a file in the folder `out`."""
    global _measured
    complaints.clear()
    _measured = open(out / f"{row}.measurements.jsonl", "w")


def keep(name, result):
    print(json.dumps({"of": name, **result}), file=_measured, flush=True)
    return result


def end():
    for process in list(running):
        stop(process)
    shutil.rmtree(work, ignore_errors=True)


def spawn(core, command, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], **options)
    running.append(process)
    return process


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in running:
        running.remove(process)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, ready, seconds=20):
    give_up = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > give_up:
            raise RuntimeError(f"no sign of {what} for {seconds} s")
        time.sleep(0.05)


def accepts(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True


def build():
    """Builds the server and the load generator; `KAIBO_BIN` saves the first."""
    global kaibo_bin, loadgen_bin
    own = os.environ.get("CARGO_TARGET_DIR")
    cargo = ["cargo", "build", "--release", "--locked", "--quiet"]
    kaibo_bin = os.environ.get("KAIBO_BIN")
    if not kaibo_bin:
        subprocess.run([*cargo, "--bin", "kaibo"], cwd=ROOT, check=True)
        kaibo_bin = pathlib.Path(own or ROOT / "target") / "release/kaibo"
    subprocess.run([*cargo, "--manifest-path", "tools/loadgen/Cargo.toml"], cwd=ROOT, check=True)
    loadgen_bin = pathlib.Path(own or ROOT / "tools/loadgen/target") / "release/loadgen"


def clip(kbits=1800):
    """An FLV file of a minute, made once and kept beside the results."""
    path = out_folder() / f"clip-{kbits}.flv"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        subprocess.run(["ffmpeg", "-v", "error", "-y", *CLIP.format(kbits, 2 * kbits).split(), unfinished], check=True)
        unfinished.rename(path)
    return path


def out_folder():
    folder = pathlib.Path(os.environ.get("OUT", ROOT / "tests/output/bench"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Server:
    """A server that runs: its process, and where a stream is pushed and watched."""

    def __init__(self, name, process, rtmp=None, flv=None, http=None, folder=None):
        self.name, self.process, self.pid = name, process, process.pid
        self.rtmp, self.flv, self.http, self.folder = rtmp, flv, http, folder

    def push_url(self, stream):
        return f"rtmp://{self.rtmp}/live/{stream}"

    def watch_url(self, stream, rtmp=False):
        """HTTP-FLV where the server has it, RTMP play elsewhere."""
        if self.flv and not rtmp:
            return self.flv.format(stream)
        return self.push_url(stream)


@contextlib.contextmanager
def kaibo(batch="auto", record=False, core=SERVER_CORE, folder=None, **settings):
    folder = folder or tempfile.mkdtemp(dir=work)
    environment = {
        "DATA_DIR": folder, "RTMP__LISTEN": "127.0.0.1:0", "HTTP__LISTEN": "127.0.0.1:0",
        "API__LISTEN": "127.0.0.1:0", "AUTH__PUSH__ENABLED": "false", "LOG__LEVEL": "warn", "FLV__BATCH": batch,
        "RECORD__ENABLED": str(record).lower(),
        # All viewers have one address here.
        **{f"LIMITS__{kind}_CONNECTIONS{of}": 20000 for kind in ("HTTP", "RTMP") for of in ("", "_PER_ADDRESS")},
        **settings,
    }
    environment = {f"KAIBO__{key}": str(value) for key, value in environment.items()}
    run = pathlib.Path(folder, "run.json")
    run.unlink(missing_ok=True)
    process = spawn(core, [kaibo_bin, "serve"], env={**os.environ, **environment})
    try:
        wait_for("kaibo", lambda: run.exists() and run.stat().st_size)
        at = json.loads(run.read_text())
        yield Server("kaibo", process, at["rtmp"], f"http://{at['http']}/live/{{}}.flv", at["http"], folder)
    finally:
        stop(process)


@contextlib.contextmanager
def floor(batch_ms=0):
    """The least that a server could do: it writes premade bytes."""
    port = free_port()
    command = [loadgen_bin, "floor", "--listen", f"127.0.0.1:{port}", "--file", clip(), "--batch-ms", batch_ms]
    process = spawn(SERVER_CORE, [*command, "--seconds", LIMIT])
    try:
        wait_for("the floor", lambda: accepts(port))
        yield Server("floor", process, flv=f"http://127.0.0.1:{port}/{{}}")
    finally:
        stop(process)


@contextlib.contextmanager
def nginx(application="", http=""):
    """nginx with its RTMP module as Debian has it; one worker."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    rtmp_port, http_port = free_port(), free_port()
    module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    application = application.replace("FOLDER", str(folder / "files"))
    (folder / "files").mkdir()
    (folder / "nginx.conf").write_text(f"""
      load_module {module}; user root; daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {folder}/pid;
      error_log {folder}/log; events {{ worker_connections 16384; }}
      rtmp {{ server {{ listen 127.0.0.1:{rtmp_port}; chunk_size 4096;
        application live {{ live on; {application} }} }} }}
      http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; open_file_cache max=1000;
        types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }} {temporary}
        server {{ listen 127.0.0.1:{http_port}; root {folder}/files; {http} }} }}""")
    process = spawn(SERVER_CORE, ["nginx", "-c", folder / "nginx.conf", "-e", folder / "log"])
    try:
        wait_for("nginx", lambda: accepts(rtmp_port) and accepts(http_port))
        http_at = f"127.0.0.1:{http_port}"
        yield Server("nginx-rtmp", process, f"127.0.0.1:{rtmp_port}", http=http_at, folder=folder / "files")
    finally:
        stop(process)


@contextlib.contextmanager
def xiu():
    rtmp_port, http_port = free_port(), free_port()
    process = spawn(SERVER_CORE, [PEERS / "xiu/bin/xiu", "-r", rtmp_port, "-f", http_port, "-l", "error"], cwd=work)
    try:
        wait_for("xiu", lambda: accepts(rtmp_port) and accepts(http_port))
        yield Server("xiu", process, f"127.0.0.1:{rtmp_port}", f"http://127.0.0.1:{http_port}/live/{{}}.flv")
    finally:
        stop(process)


@contextlib.contextmanager
def nms():
    rtmp_port, http_port = free_port(), free_port()
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    (folder / "config.json").write_text(json.dumps({
        "bind": "127.0.0.1", "rtmp": {"port": rtmp_port}, "http": {"port": http_port},
        "auth": {"play": False, "publish": False}, "store": {"path": str(folder)}}))
    app = PEERS / "nms/node_modules/node-media-server/bin/app.js"
    command = ["node", app, "-c", folder / "config.json", "--data-path", folder, "--no-admin"]
    process = spawn(SERVER_CORE, command, cwd=folder)
    try:
        wait_for("Node-Media-Server", lambda: accepts(rtmp_port) and accepts(http_port))
        flv = f"http://127.0.0.1:{http_port}/live/{{}}.flv"
        yield Server("Node-Media-Server", process, f"127.0.0.1:{rtmp_port}", flv)
    finally:
        stop(process)


def peers():
    """Those that are installed; SERVERS="nginx-rtmp xiu" chooses some."""
    found = []
    if pathlib.Path("/usr/lib/nginx/modules/ngx_rtmp_module.so").exists():
        found.append(("nginx-rtmp", nginx))
    if (PEERS / "xiu/bin/xiu").exists():
        found.append(("xiu", xiu))
    if (PEERS / "nms/node_modules/node-media-server").exists():
        found.append(("Node-Media-Server", nms))
    wanted = os.environ.get("SERVERS")
    return [peer for peer in found if wanted is None or peer[0] in wanted.split()]


class Overrun(RuntimeError):
    """The load took too long: a server kept it waiting."""


def loadgen(*arguments, seconds=LIMIT):
    command = ["taskset", "-c", LOAD_CORE, loadgen_bin, *arguments]
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Overrun(f"loadgen {arguments[0]}: not over after {seconds} s") from None
    if done.returncode != 0:
        raise RuntimeError(f"loadgen {arguments[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout)


nobody = contextlib.nullcontext


@contextlib.contextmanager
def pushing(server, stream="{i}", count=1, settle=2.5, source=None):
    """Publishers while the block lasts; one alone tells in every picture when it was sent."""
    stamp = ["--stamp"] if count == 1 else []
    command = ["push", "--url", server.push_url(stream), "--file", source or clip(), "--count", count, *stamp]
    process = spawn(LOAD_CORE, [loadgen_bin, *command, "--seconds", LIMIT])
    try:
        time.sleep(settle + (2 if count > 1 else 0))
        if process.poll() is not None:
            raise RuntimeError(f"nobody can push to {server.name}")
        yield process
    finally:
        stop(process)


def watch(server, stream="0", count=1, seconds=5, settle=2, sample=30, ramp_ms=2.0, rtmp=False, streams=0, of="",
          may_fail=False):
    """Viewers in real time; what is wrong with what they got is a complaint about the measurement."""
    url = server.watch_url(stream, rtmp)
    mode = "rtmp-play" if url.startswith("rtmp:") else "flv"
    result = loadgen(
        mode, "--url", url, "--count", count, "--seconds", seconds, "--settle", settle, "--ramp-ms", ramp_ms, "--sample",
        min(sample, count), "--coalesce-ms", 5 if count < 1500 else 20, "--streams", streams, "--pid", server.pid)
    result["faults"] = faults(result, share=0.87 if streams else 0.95)
    name = f"{of or server.name}, {count} viewers"
    server = result["server"]
    others = sum(server["core_busy_pct"]) - server["server_cpu_pct"] - server["generator_cpu_pct"]
    # One publisher and the kernel take some 10 % of a core; many take more.
    if others > 30 and not streams:
        complaints.append(f"{name}: something else took {others:.0f} % of a core")
    if result["faults"] and not may_fail:
        complaints.append(f"{name}: {', '.join(result['faults'])}")
    return keep(name, result)


def faults(result, share):
    """What viewers did not get: everybody in real time, with nothing missing."""
    found = [f"{result[key]} {words}" for key, words in
             (("failed", "cut off"), ("no_media", "without a picture"), ("stalled_viewers", "stalled"), ("gaps", "gaps"),
              ("backward_timestamps", "timestamps backwards")) if result[key]]
    if result["errors"]:
        found.append(result["errors"][0])
    # The sample's time, and the others' bytes beside the sample's; a window ends in the middle of a GOP. Streams are at
    # different places of one clip, which has down to 0.92 of the usual bytes in some 5 s.
    for key, least in ("pace", 0.95), ("share", share):
        if result[key] and result[key]["min"] < least:
            found.append(f"{key} down to {result[key]['min']}")
    return found


def delay(result):
    return result["delay_ms"] or {"p50": float("nan"), "p99": float("nan")}


def cost(result):
    return result["server"]["server_cpu_s_per_gb"]


def median(values):
    return statistics.median(values)


class Goal:
    """One line of the table; `more` goes below it."""

    def __init__(self, what, goal, ours, beside="–", ratio=None, met=None, more=""):
        self.what, self.goal, self.ours, self.beside, self.ratio, self.met = what, goal, ours, beside, ratio, met
        self.more = more


def dropped(found, of):
    """When stalled viewers were dropped, in all runs."""
    kept = [result["kept_s"] or {"p50": math.inf, "max": math.inf} for result in found]
    p50, last = median(each["p50"] for each in kept), max(each["max"] for each in kept)
    never = sum(result["not_dropped"] for result in found)
    joined = sum(result["joined"] for result in found)
    return Goal(f"… dropped after p50 / max ({joined} in all, {of}; {never} not at all)", "≤ 15 s",
                f"{p50:.1f} / {last:.1f} s", "–", None, never == 0 and last <= 15)
