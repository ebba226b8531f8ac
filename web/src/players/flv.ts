import Mpegts from 'mpegts.js';
import { pace } from './edge';
import type { Cue } from '../cues';
import { refusalKind, type Player, type PlayerEvents } from './player';

/** After the first picture the join is over: the server's burst has arrived by then. */
const JOIN_MS = 1500;
/** Two jumps closer together than this would stutter more than they gain. */
const BETWEEN_JUMPS_MS = 5000;

interface MediaInfo {
  videoDataRate?: number;
  audioDataRate?: number;
}

interface Statistics {
  /** Arrival in KB/s over the last second. */
  speed?: number;
}

/** HTTP-FLV through mpegts.js: one endless response, the least delay. */
export function playFlv(video: HTMLVideoElement, url: string, events: PlayerEvents): Player {
  Mpegts.LoggingControl.applyConfig({ enableAll: false });
  const player = Mpegts.createPlayer(
    { type: 'flv', isLive: true, url: new URL(url, location.href).href },
    {
      // Every byte goes on at once; a stash would hand a thin stream on in clumps.
      enableStashBuffer: false,
      deferLoadAfterSourceOpen: false,
      lazyLoad: false,
      autoCleanupSourceBuffer: true,
      autoCleanupMaxBackwardDuration: 60,
      autoCleanupMinBackwardDuration: 30,
    },
  );
  let firstPictureAt: number | null = null;
  let jumpedAt = -Infinity;
  let bitrate: number | null = null;

  const ahead = (): number | null => {
    const { buffered, currentTime } = video;
    return buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : null;
  };

  const keepPace = () => {
    const seconds = ahead();
    if (seconds === null || video.paused) return;
    const now = performance.now();
    firstPictureAt ??= now;
    const joining = now - firstPictureAt < JOIN_MS;
    const { rate, keep } = pace(seconds, video.playbackRate, joining);
    if (keep !== null && (joining || now - jumpedAt > BETWEEN_JUMPS_MS)) {
      jumpedAt = now;
      video.currentTime += seconds - keep;
    }
    if (video.playbackRate !== rate) video.playbackRate = rate;
  };

  player.on(Mpegts.Events.ERROR, (type: string, detail: string, info?: { code?: number }) => {
    const reason = info?.code ? `${detail} ${info.code}` : detail;
    if (type === Mpegts.ErrorTypes.NETWORK_ERROR) events.failed({ kind: refusalKind(info?.code), detail: reason });
    else if (detail === Mpegts.ErrorDetails.MEDIA_CODEC_UNSUPPORTED) events.failed({ kind: 'codec', detail });
    else events.failed({ kind: 'media', detail: reason });
  });
  player.on(Mpegts.Events.LOADING_COMPLETE, () => events.ended());
  player.on(Mpegts.Events.MEDIA_INFO, ({ videoDataRate = 0, audioDataRate = 0 }: MediaInfo) => {
    const announced = (videoDataRate + audioDataRate) * 1000;
    if (announced > 0) bitrate ??= announced;
  });
  player.on(Mpegts.Events.STATISTICS_INFO, ({ speed = 0 }: Statistics) => {
    // The burst of the join is faster than the stream.
    const settled = firstPictureAt !== null && performance.now() - firstPictureAt > 2 * JOIN_MS;
    if (settled && speed > 0) bitrate = 0.8 * (bitrate ?? speed * 8192) + 0.2 * speed * 8192;
  });
  player.on(Mpegts.Events.SCRIPTDATA_ARRIVED, (data: Record<string, unknown>) => {
    const { buffered } = video;
    // It stands behind what has arrived so far; the player does not tell its time.
    const at = buffered.length > 0 ? buffered.end(buffered.length - 1) : video.currentTime;
    for (const cue of cuesOf(data)) events.cue(cue, at);
  });
  video.addEventListener('timeupdate', keepPace);

  player.attachMediaElement(video);
  player.load();
  return {
    kind: 'flv',
    delay: ahead,
    bitrate: () => bitrate,
    protocol: () => 'HTTP-FLV',
    destroy: () => {
      video.removeEventListener('timeupdate', keepPace);
      video.playbackRate = 1;
      player.destroy();
    },
  };
}


let scripts = 0;

/** Events in a script tag: the server's own, or an encoder's, which has no name but its kind. */
function cuesOf(data: Record<string, unknown>): Cue[] {
  return Object.entries(data).map(([kind, value]) => {
    if (kind !== 'onTimedEvent') return { id: `script-${(scripts += 1)}`, kind, payload: value };
    const { id, type, payload } = value as Record<string, unknown>;
    return { id: String(id), kind: String(type), payload: parsed(payload) };
  });
}

function parsed(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return null;
  }
}
