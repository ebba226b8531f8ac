/** What the looks at a player say. All times in milliseconds. */

/** Shown pictures and moving times come far more often than this; the held picture comes twice a second. */
const STALL_MS = 750;
/** A stall that viewers forgive. */
const FORGIVEN_MS = 2000;
/** A joint is heard and seen within this long. */
const JOINT_MS = 30_000;
/** The end of a list is its last segment: players that close a little before it have seen the end. */
const END_MS = 2000;
/** Players fill their buffers first. */
const SETTLE_MS = 5000;

/** When the player went on: its time moved, or it showed a picture. */
function steps(looks) {
  return looks.filter((look, index) => look.time === undefined || (index > 0 && look.time !== looks[index - 1].time)).map((look) => look.at);
}

/** Gaps `{ from, to }` between steps that are stalls; `end` is when the looking ended. */
export function stalls(looks, end) {
  const moments = [...steps(looks), end];
  return moments
    .slice(1)
    .map((to, index) => ({ from: moments[index], to }))
    .filter(({ from, to }) => to - from > STALL_MS);
}

const longest = (list, from, to) =>
  Math.max(0, ...list.filter((stall) => stall.to > from && stall.from < to).map((stall) => stall.to - stall.from));

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** How old the pictures are when they are seen, between two moments. */
export function ages(looks, from, to) {
  return looks.filter((look) => look.clock && look.at >= from && look.at < to).map((look) => look.at - look.clock);
}

/**
 * The player through an outage. `cut`: the encoder is gone; `back`: the first new picture was made; `stop`: the last
 * one was made; `end`: the looking ended.
 */
export function judge({ looks, events }, { cut, back, stop, end }) {
  const pictures = looks.filter((look) => look.clock);
  const first = pictures[0];
  if (!first) return { passed: false, why: ['no picture'], fatal: events.filter((event) => event.fatal) };
  const shownTo = Math.max(...pictures.map((look) => look.clock));
  const lastNew = pictures.find((look) => look.clock === shownTo).at;
  // Behind the newest picture there is nothing to be seen.
  const all = stalls(looks, Math.max(lastNew, stop)).filter((stall) => stall.to > first.at && stall.from < lastNew);
  const settled = first.at + SETTLE_MS;
  const fresh = pictures.find((look) => look.clock >= back);
  const reads = looks.filter((look) => look.clock !== undefined && look.at > first.at);
  const fatal = events.filter((event) => event.fatal);
  const verdict = {
    before: percentile(ages(looks, cut - 10_000, cut), 0.5),
    steadyStall: longest(all, settled, cut - 1),
    cutStall: longest(all, cut - 500, Math.min(cut + JOINT_MS, (cut + back) / 2)),
    awayStalled: all
      .filter((stall) => stall.to > cut && stall.from < back)
      .reduce((sum, stall) => sum + Math.min(stall.to, back) - Math.max(stall.from, cut), 0),
    /** Pictures without a clock: black ones, or garbage. */
    broken: reads.filter((look) => look.clock === null).length,
    lostAtCut: cut - Math.max(...pictures.filter((look) => look.clock <= cut).map((look) => look.clock)),
    backStall: longest(all, back - 1000, back + JOINT_MS),
    recovery: fresh ? fresh.at - back : null,
    after: fresh ? percentile(ages(looks, ...lately(fresh.at, stop)), 0.5) : undefined,
    missing: stop - shownTo,
    jumps: jumps(looks),
    fatal,
    errors: tally(events.filter((event) => !event.fatal && !['waiting', 'seeking', 'ended'].includes(event.what))),
    seeks: events.filter((event) => event.what === 'seeking' && event.at > settled).length,
    ended: events.some((event) => event.what === 'ended' && event.at > stop),
    frames: looks.reduce((most, look) => Math.max(most, look.frames ?? 0), 0),
    ranges: Math.max(0, ...looks.filter((look) => look.at > settled).map((look) => look.ranges ?? 0)),
    watched: end - first.at,
  };
  verdict.why = [
    fatal.length > 0 && 'fatal error',
    verdict.cutStall > FORGIVEN_MS && 'stall at the cut',
    verdict.awayStalled > FORGIVEN_MS && 'stalled while away',
    verdict.backStall > FORGIVEN_MS && 'stall at the return',
    verdict.steadyStall > FORGIVEN_MS && 'stall before',
    verdict.recovery === null && 'no new picture',
    verdict.broken > 0 && 'broken pictures',
    !verdict.ended && 'no end',
    verdict.missing > END_MS && 'the end is missing',
  ].filter(Boolean);
  verdict.passed = verdict.why.length === 0;
  return verdict;
}

/** The last 10 s before `stop` in which there were new pictures, from `fresh` on; the first 10 s of a player that sees none so soon. */
const lately = (fresh, stop) => (fresh < stop ? [Math.max(fresh, stop - 10_000), stop] : [fresh, fresh + 10_000]);

/** Times that jumped by more than half a second against the clock on the wall. */
function jumps(looks) {
  let count = 0;
  for (let index = 1; index < looks.length; index += 1) {
    const [one, next] = [looks[index - 1], looks[index]];
    if (one.time === undefined || one.time === 0) continue;
    const moved = (next.time - one.time) * 1000;
    if (moved < -50 || moved > 2 * (next.at - one.at) + 500) count += 1;
  }
  return count;
}

function tally(events) {
  const counts = new Map();
  for (const { what } of events) counts.set(what, (counts.get(what) ?? 0) + 1);
  return [...counts].map(([what, times]) => (times > 1 ? `${what} x${times}` : what));
}
