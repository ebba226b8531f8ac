import type { Cue } from '../cues';

/** The two ways to watch live, as the viewer chooses them. */
export type Route = 'hls' | 'flv';

/** What really plays: `native` is HLS by the browser itself, `replay` the recording. */
export type PlayerKind = Route | 'native' | 'replay';

export interface Failure {
  /** `refused`: the server wants a valid play key. `codec`: this browser can't decode it. Neither mends itself soon. */
  readonly kind: 'network' | 'media' | 'refused' | 'codec';
  readonly detail: string;
}

export interface PlayerEvents {
  /** The player is dead and wants replacing. */
  failed(failure: Failure): void;
  /** The server finished the stream properly. */
  ended(): void;
  /** A timed event is due at so many seconds of the video element. */
  cue(cue: Cue, at: number): void;
  /** Something went wrong that the player is dealing with itself. */
  hiccup(detail: string): void;
}

/** What an HTTP refusal means for the player. */
export function refusalKind(code: number | undefined): 'refused' | 'network' {
  return code === 401 || code === 403 ? 'refused' : 'network';
}

/** One attempt at playing one address in a video element; thrown away and made anew when it fails. */
export interface Player {
  readonly kind: PlayerKind;
  /** Seconds behind the newest media that this player knows of, or null while unknown. */
  delay(): number | null;
  /** Bits per second of the media as it arrives, or null while unknown. */
  bitrate(): number | null;
  /** What the media comes as, for people: `LL-HLS`, `HTTP-FLV`. */
  protocol(): string;
  destroy(): void;
}
