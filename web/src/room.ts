import type { State, Status } from './status';

/** What the viewer is told. `connecting` lasts until the first answer. */
export type Phase = State | 'connecting' | 'not_found' | 'denied';

/** Everything known about the stream, from the server's answers so far. */
export interface Room {
  readonly phase: Phase;
  /** False while the server can't be reached; the phase is then the last known one. */
  readonly online: boolean;
  readonly status: Status | null;
}

/** One answer, or the lack of one. */
export type Report =
  | { readonly kind: 'status'; readonly status: Status }
  | { readonly kind: 'refused'; readonly code: number }
  | { readonly kind: 'unreachable' };

export const NEW_ROOM: Room = { phase: 'connecting', online: true, status: null };

export function reduce(room: Room, report: Report): Room {
  switch (report.kind) {
    case 'status':
      return { phase: report.status.state, online: true, status: report.status };
    case 'unreachable':
      return { ...room, online: false };
    case 'refused': {
      const phase = refusal(report.code);
      // A server that fails (5xx, a proxy's 429) says nothing about the broadcast.
      return phase === null ? { ...room, online: false } : { phase, online: true, status: null };
    }
  }
}

function refusal(code: number): Phase | null {
  switch (code) {
    case 404:
      return 'not_found';
    case 401:
    case 403:
      return 'denied';
    case 410:
      return 'expired';
    default:
      return null;
  }
}

/** What should be on the screen. */
export type Programme = 'live' | 'replay' | 'nothing';

export function programme(room: Room): Programme {
  switch (room.phase) {
    // Before the first answer the live stream is tried at once: the first picture doesn't wait for the status.
    case 'connecting':
    case 'live':
    case 'interrupted':
    case 'paused':
      return 'live';
    case 'ended':
      return room.status?.replay ? 'replay' : 'nothing';
    case 'not_started':
    case 'banned':
    case 'expired':
    case 'not_found':
    case 'denied':
      return 'nothing';
  }
}

/** Whole seconds until an interrupted broadcast is given up, or null where no deadline runs. */
export function secondsLeft(room: Room, now: number): number | null {
  const deadline = room.phase === 'interrupted' ? (room.status?.resumeDeadline ?? null) : null;
  return deadline === null ? null : Math.max(0, Math.ceil((deadline - now) / 1000));
}
