/** How an FLV viewer stays close to live: the server sends in real time, so whatever lies in the buffer is delay. */
export interface Pace {
  readonly rate: number;
  /** Jump so that this much is left in the buffer, or don't jump. */
  readonly keep: number | null;
}

/** More than this is a jump's worth: catching up by speed would take a minute. */
const JUMP_S = 3;
/** While joining, the server's burst of up to one group of pictures is skipped instead of played. */
const JOIN_JUMP_S = 1.2;
/** Left in the buffer after a jump: enough for the network's unevenness on a good link. */
const KEEP_S = 0.6;
/** Above the first, play slightly fast until below the second. The gap keeps the speed from flapping. */
const FAST_S = 1.2;
const STEADY_S = 0.7;
const FAST_RATE = 1.1;

/** The next pace from the seconds buffered ahead; `joining` until shortly after the first picture. */
export function pace(ahead: number, rate: number, joining: boolean): Pace {
  if (ahead > (joining ? JOIN_JUMP_S : JUMP_S)) return { rate: 1, keep: KEEP_S };
  if (ahead > FAST_S) return { rate: FAST_RATE, keep: null };
  if (ahead < STEADY_S) return { rate: 1, keep: null };
  return { rate, keep: null };
}
