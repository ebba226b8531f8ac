/** The measuring rig itself: it reads what it drew, and sees a stall where there is one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { draw } from './rig/clock.mjs';
import { read, SMALL } from './rig/reading.mjs';
import { ages, judge, stalls } from './rig/verdict.mjs';

/** A picture of `width` by `height` as a player shows it in small. */
function small(picture, width) {
  const scale = width / SMALL.width;
  return (x, y) => picture[Math.floor((y + 0.5) * scale) * width + Math.floor((x + 0.5) * scale)];
}

describe('the clock in the picture', () => {
  for (const [width, height] of [
    [320, 180],
    [256, 144],
  ]) {
    it(`is read back from ${width}x${height}`, () => {
      for (const time of [1_795_308_216_845, 1_795_308_216_846, 2 ** 32 * 418 - 1, 2 ** 32 * 418]) {
        assert.equal(read(small(draw(time, 7, width, height), width), time + 300), time);
      }
    });
  }

  it('is in no black, grey or garbled picture', () => {
    for (const luma of [() => 16, () => 128, () => 235, (x) => (x % 8 < 4 ? 16 : 235)]) assert.equal(read(luma), null);
  });
});

/** A player that shows pictures one second old from 0 to `to`, but for `still`, with a clock that stops at `cut`. */
function watched({ to, still = [], cut, back }) {
  const looks = [];
  let time = 0;
  for (let at = 10_000; at < to; at += 100) {
    if (!still.some(([from, until]) => at > from && at < until)) time += 0.1;
    const clock = at - 1000;
    looks.push({ at, time, clock: clock > cut && clock < back ? cut : clock, frames: at });
  }
  return { looks, events: [{ at: to - 1, what: 'ended', fatal: false }] };
}

describe('the verdict', () => {
  const marks = { cut: 40_000, back: 60_000, stop: 90_000, end: 95_000 };
  const player = (still) => {
    const seen = watched({ to: 91_000, still, ...marks });
    return judge(seen, marks);
  };

  it('passes a player that goes on over a held picture', () => {
    const verdict = player([]);
    assert.deepEqual(verdict.why, []);
    assert.deepEqual([verdict.recovery, verdict.cutStall, verdict.backStall, verdict.before], [1000, 0, 0, 1000]);
  });

  it('names the joint at which a player stalls', () => {
    assert.deepEqual(player([[41_000, 45_000]]).why, ['stall at the cut', 'stalled while away']);
    assert.deepEqual(player([[61_000, 64_000]]).why, ['stall at the return']);
    assert.deepEqual(player([[20_000, 24_000]]).why, ['stall before']);
  });

  it('takes the age of new pictures only, of a player that is far behind', () => {
    const late = { to: 140_000, ...marks };
    const seen = watched(late);
    // It comes to the new pictures 40 s late, after the last one was made.
    for (const look of seen.looks) {
      const made = look.at - 40_000;
      look.clock = made > marks.cut && made < marks.back ? marks.cut : Math.min(made, marks.stop);
    }
    const verdict = judge(seen, { ...marks, end: 140_000 });
    assert.deepEqual([verdict.recovery, verdict.after], [40_000, 40_000]);
  });

  it('counts no short hiccup as a stall', () => {
    assert.equal(stalls(watched({ to: 30_000, still: [[15_000, 15_500]], ...marks }).looks, 30_000).length, 0);
    assert.equal(ages(watched({ to: 30_000, ...marks }).looks, 0, 30_000).length, 200);
  });

  it('fails a player that shows no new picture, and one with a fatal error', () => {
    const seen = watched({ to: 91_000, ...marks, back: 1e9 });
    assert.ok(judge(seen, marks).why.includes('no new picture'));
    seen.events.push({ at: 50_000, what: 'gone', fatal: true });
    assert.ok(judge(seen, marks).why.includes('fatal error'));
  });
});
