/** What the server says about the broadcast: the JSON of `/status/APP/STREAM`. */
export interface Status {
  readonly state: State;
  /** The WeChat live room code, 101 to 107. */
  readonly liveStatus: number | null;
  /** When an interrupted broadcast ends for good, in milliseconds of this browser's clock. */
  readonly resumeDeadline: number | null;
  readonly width: number | null;
  readonly height: number | null;
  /** The playlist of the replay, once there is one that the public may see. */
  readonly replay: string | null;
  readonly broadcast: string | null;
}

const STATES = ['live', 'interrupted', 'paused', 'ended', 'not_started', 'banned', 'expired'] as const;
export type State = (typeof STATES)[number];

/** Names of the broadcast object that mean "nothing public yet". */
const BEFORE_START = ['created', 'preview'];

/**
 * Reads a status document; anything that isn't one (an error page, a problem document) is null.
 * `now` is this browser's clock: where the document carries the server's (`now`), the deadline is moved onto ours.
 */
export function parseStatus(document: unknown, now: number): Status | null {
  if (!isRecord(document)) return null;
  const state = stateNamed(document.state);
  if (state === null) return null;
  const serverNow = time(document.now) ?? now;
  const deadline = time(document.resume_deadline);
  const replay = isRecord(document.replay) ? text(document.replay.hls) : null;
  return {
    state,
    liveStatus: count(document.live_status),
    resumeDeadline: deadline === null ? null : deadline - serverNow + now,
    width: count(document.width),
    height: count(document.height),
    replay: replay !== null && isOwnPath(replay) ? replay : null,
    broadcast: text(document.broadcast),
  };
}

function stateNamed(value: unknown): State | null {
  if (typeof value !== 'string') return null;
  if (BEFORE_START.includes(value)) return 'not_started';
  return STATES.find((state) => state === value) ?? null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;
}

function time(value: unknown): number | null {
  const ms = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(ms) ? null : ms;
}

/** `/replay/…` on this server; `//elsewhere` and full addresses are not followed. */
function isOwnPath(path: string): boolean {
  return /^\/[^/\\]/.test(path);
}
