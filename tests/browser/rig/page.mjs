/** One player in one tab: `?player=NAME&url=URL&low=1`. `window.rig.take()` hands over what was seen since the last time. */
import { read, SMALL } from './reading.mjs';

const { player, url, low } = Object.fromEntries(new URLSearchParams(location.search));
const video = document.querySelector('video');
/** How often it is looked at whether the video goes on: also how exact stalls are. */
const LOOK_MS = 100;
/** How often the clock in the picture is read. */
const READ_MS = 250;

const events = [];
const tell = (what, fatal = false) => events.push({ at: Date.now(), what, fatal });

for (const name of ['waiting', 'seeking', 'ended']) video.addEventListener(name, () => tell(name));
video.addEventListener('error', () => tell(`media error ${video.error?.code}: ${video.error?.message}`, true));

const load = (path) =>
  new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.onload = resolve;
    script.onerror = () => reject(new Error(path));
    script.src = `/modules/${path}`;
    document.head.append(script);
  });

const players = {
  async hls17() {
    await load('hls.js/dist/hls.min.js');
    startHls();
  },
  async hls16() {
    await load('hls16/dist/hls.min.js');
    startHls();
  },
  async shaka() {
    await load('shaka-player/dist/shaka-player.compiled.js');
    shaka.polyfill.installAll();
    const shakaPlayer = new shaka.Player();
    await shakaPlayer.attach(video);
    shakaPlayer.configure({ streaming: { lowLatencyMode: low === '1' } });
    shakaPlayer.addEventListener('error', ({ detail }) => tell(`shaka ${detail.code ?? `${detail} ${detail.stack}`}`.slice(0, 300), detail.severity === 2));
    await shakaPlayer.load(url);
    await video.play();
  },
  async mpegts() {
    await load('mpegts.js/dist/mpegts.js');
    const flv = mpegts.createPlayer({ type: 'flv', isLive: true, url }, { liveSync: low === '1', enableStashBuffer: low !== '1' });
    flv.on(mpegts.Events.ERROR, (type, detail) => tell(`mpegts.js ${type} ${detail}`, true));
    flv.on(mpegts.Events.LOADING_COMPLETE, () => tell('loading complete'));
    flv.attachMediaElement(video);
    flv.load();
    await flv.play();
  },
};

function startHls() {
  // As on the watch page: its default is never to catch up on the delay that it began with.
  const hls = new Hls({ lowLatencyMode: low === '1', maxLiveSyncPlaybackRate: low === '1' ? 1.1 : 1 });
  hls.on(Hls.Events.ERROR, (_, { details, fatal, error }) => tell(`hls.js ${details}${fatal ? `: ${error?.message}` : ''}`, fatal));
  hls.loadSource(url);
  hls.attachMedia(video);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  window.rigLatency = () => hls.latency;
  window.hls = hls;
}

const canvas = document.createElement('canvas');
Object.assign(canvas, SMALL);
const context = canvas.getContext('2d', { willReadFrequently: true });

function readClock() {
  if (video.readyState < 2) return null;
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return read((x, y) => data[(y * canvas.width + x) * 4]);
}

let looks = [];
let lastRead = 0;
setInterval(() => {
  const at = Date.now();
  const look = { at, time: video.currentTime };
  if (at - lastRead >= READ_MS) {
    lastRead = at;
    look.clock = readClock();
    look.frames = video.getVideoPlaybackQuality().totalVideoFrames;
    look.dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
    look.ranges = video.buffered.length;
    look.end = look.ranges ? video.buffered.end(look.ranges - 1) : 0;
    look.claimed = window.rigLatency?.();
  }
  looks.push(look);
}, LOOK_MS);

window.rig = {
  take() {
    const taken = { looks, events: events.splice(0) };
    looks = [];
    return taken;
  },
};

players[player]().catch((error) => tell(`${player}: ${error.message ?? error.code ?? error}`, true));
