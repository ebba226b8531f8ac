import type { Cue } from './cues';
import type { Playback } from './playback';
import type { PlayerKind } from './players/player';
import type { Phase, Room } from './room';

/** A timed event, and where the video element was. */
export interface Told extends Cue {
  readonly at: number;
}

/** What the page knows about itself, for tests and bug reports: `window.kaibo` in the browser's console. */
export interface Stats {
  readonly state: Phase;
  readonly liveStatus: number | null;
  readonly online: boolean;
  readonly broadcast: string | null;
  readonly player: PlayerKind | null;
  readonly currentTime: number;
  readonly paused: boolean;
  readonly width: number;
  readonly height: number;
  /** Frames decoded since the page was opened, over all players. */
  readonly decodedFrames: number;
  /** Players replaced because they failed or stood still. */
  readonly rebuilds: number;
  readonly errors: readonly string[];
  /** Timed events as they were shown. */
  readonly told: readonly Told[];
  /** Seconds, as shown on the page. */
  readonly delay: number | null;
  readonly bitrate: number | null;
  /** Milliseconds from the start of the page to its first picture. */
  readonly firstPictureMs: number | null;
}

declare global {
  interface Window {
    readonly kaibo: Stats;
  }
}

export function publishStats(video: HTMLVideoElement, playback: Playback, room: () => Room, told: readonly Told[]): void {
  const stats: Stats = {
    get state() {
      return room().phase;
    },
    get liveStatus() {
      return room().status?.liveStatus ?? null;
    },
    get online() {
      return room().online;
    },
    get broadcast() {
      return room().status?.broadcast ?? null;
    },
    get player() {
      return playback.kind;
    },
    get currentTime() {
      return video.currentTime;
    },
    get paused() {
      return video.paused;
    },
    get width() {
      return video.videoWidth;
    },
    get height() {
      return video.videoHeight;
    },
    get decodedFrames() {
      return playback.decodedFrames;
    },
    get rebuilds() {
      return playback.rebuilds;
    },
    get errors() {
      return [...playback.errors];
    },
    get told() {
      return [...told];
    },
    get delay() {
      return playback.delay();
    },
    get bitrate() {
      return playback.bitrate();
    },
    get firstPictureMs() {
      return playback.firstPictureMs;
    },
  };
  Object.defineProperty(window, 'kaibo', { value: Object.freeze(stats) });
}
