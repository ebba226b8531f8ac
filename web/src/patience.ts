import type { Room } from './room';

/** No picture moves for so long while the publisher is sending: the player is stuck. */
const LIVE_MS = 5000;
/** The first picture may take longer than the next one. */
const FIRST_PICTURE_MS = 8000;
/** While the publisher is away a stream may rightly stand still, if there is no picture to hold. */
const AWAY_MS = 20_000;

/** How long a live player may stand still before it is replaced, in milliseconds. */
export function patience(room: Room, hasPicture: boolean): number {
  // Nothing can be fetched from a server that is away; a new player would only lose the buffer.
  if (!room.online) return Infinity;
  if (room.phase === 'interrupted' || room.phase === 'paused') return AWAY_MS;
  return hasPicture ? LIVE_MS : FIRST_PICTURE_MS;
}
