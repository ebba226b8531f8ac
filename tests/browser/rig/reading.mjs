/** Reads the clock that `clock.mjs` draws; in the page, and from the pictures of players that are programs. */

/** The picture is brought to this size first: 16 by 9 blocks of 4 by 4. */
export const SMALL = { width: 64, height: 36 };

/**
 * The time in a picture of 64 by 36 (4 by 4 for each block), or null if it holds none. `luma(x, y)` is 0 to 255.
 * `now` says which 49 days are meant.
 */
export function read(luma, now = Date.now()) {
  const bytes = [0, 0, 0, 0, 0];
  for (let index = 0; index < bytes.length * 8; index += 1) {
    const x = (index % 16) * 4;
    const y = Math.floor(index / 16) * 4;
    const sum = luma(x + 1, y + 1) + luma(x + 2, y + 1) + luma(x + 1, y + 2) + luma(x + 2, y + 2);
    bytes[index >> 3] = (bytes[index >> 3] << 1) | (sum > 4 * 128 ? 1 : 0);
  }
  const [a, b, c, d, check] = bytes;
  if (check !== (~(a + b + c + d) & 255)) return null;
  const clock = ((a * 256 + b) * 256 + c) * 256 + d;
  const base = Math.floor(now / 2 ** 32) * 2 ** 32;
  return clock + base - (base + clock > now + 2 ** 31 ? 2 ** 32 : 0);
}
