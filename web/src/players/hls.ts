import Hls, { ErrorTypes, Events, type ErrorData, type RetryConfig } from 'hls.js';
import { AverageRate } from './average';
import { refusalKind, type Failure, type Player, type PlayerEvents } from './player';

/** A second media error within this time means that recovering in place doesn't help. */
const RECOVERY_MS = 10_000;

/** So far behind its target a viewer jumps forward; less is made good by playing slightly faster. */
const JUMP_S = 8;

/** A server that is away (connection refused, 5xx) is asked again for as long as the page is open; a refusal (4xx) is final. */
const PATIENT = {
  maxNumRetry: Number.MAX_SAFE_INTEGER,
  retryDelayMs: 500,
  maxRetryDelayMs: 2000,
  backoff: 'linear',
  shouldRetry: (_config, _count, _isTimeout, answer, retry) => retry || (answer?.code ?? 0) === 0,
} satisfies RetryConfig;

/** Low-latency live HLS (`from` null), or a replay from a position in seconds, through hls.js. */
export function playHls(video: HTMLVideoElement, url: string, events: PlayerEvents, from: number | null): Player {
  const live = from === null;
  const defaults = Hls.DefaultConfig;
  const hls = new Hls({
    // The media is fMP4, which is passed through: a worker would only delay the first picture.
    enableWorker: false,
    startPosition: from ?? -1,
    startFragPrefetch: true,
    backBufferLength: live ? 30 : 120,
    maxLiveSyncPlaybackRate: 1.1,
    // Timed events are read from the playlists. As cues they would take a text track, which hls.js loads from a `data:`
    // address that the page's policy forbids.
    enableDateRangeMetadataCues: false,
    enableEmsgMetadataCues: false,
    enableID3MetadataCues: false,
    playlistLoadPolicy: {
      default: { ...defaults.playlistLoadPolicy.default, timeoutRetry: PATIENT, errorRetry: PATIENT },
    },
    fragLoadPolicy: {
      default: { ...defaults.fragLoadPolicy.default, errorRetry: PATIENT },
    },
  });
  const rate = new AverageRate();
  let recoveredAt = -Infinity;

  hls.on(Events.FRAG_LOADED, (_event, { frag, part }) => {
    const { duration, stats } = part ?? frag;
    if (frag.sn !== 'initSegment') rate.add(stats.total, duration);
  });

  // Lists have them all, with their times; the same is in the segments as ID3.
  hls.on(Events.LEVEL_UPDATED, (_event, { details }) => {
    for (const range of Object.values(details.dateRanges)) {
      if (range?.class !== 'kaibo.event') continue;
      const payload = parsed(range.attr['X-PAYLOAD']);
      events.cue({ id: range.id, kind: range.attr['X-TYPE'] ?? '', payload }, range.startTime);
    }
  });

  hls.on(Events.LEVEL_UPDATED, () => {
    const { latency, targetLatency, liveSyncPosition } = hls;
    if (!live || targetLatency === null || liveSyncPosition === null || video.paused) return;
    if (latency > targetLatency + JUMP_S) video.currentTime = liveSyncPosition;
  });

  hls.on(Events.ERROR, (_event, error) => {
    if (!error.fatal) {
      events.hiccup(error.details);
      return;
    }
    const failure = failureOf(error);
    if (failure.kind === 'media' && performance.now() - recoveredAt > RECOVERY_MS) {
      recoveredAt = performance.now();
      events.hiccup(error.details);
      hls.recoverMediaError();
      return;
    }
    events.failed(failure);
  });

  hls.loadSource(url);
  hls.attachMedia(video);
  return {
    kind: live ? 'hls' : 'replay',
    delay: () => (live && hls.latency > 0 ? hls.latency : null),
    bitrate: () => rate.bitsPerSecond,
    protocol: () => (hls.lowLatencyMode && hls.latestLevelDetails?.partList ? 'LL-HLS' : 'HLS'),
    destroy: () => hls.destroy(),
  };
}

/** JSON as an attribute has it: quotation marks and the like are escaped as in URIs. */
function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(decodeURIComponent(text ?? 'null'));
  } catch {
    return null;
  }
}

function failureOf({ type, details, response }: ErrorData): Failure {
  if (type === ErrorTypes.NETWORK_ERROR) {
    return { kind: refusalKind(response?.code), detail: response?.code ? `${details} ${response.code}` : details };
  }
  const codec =
    details === Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR ||
    details === Hls.ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR ||
    details === Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR;
  return { kind: codec ? 'codec' : 'media', detail: details };
}

export function hlsSupported(): boolean {
  return Hls.isSupported();
}
