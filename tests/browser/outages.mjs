// Both players through an encoder that is away for a minute and a server that is killed, as a table. See scripts/outages.
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from './server.mjs';
import { launch, Viewer } from './viewer.mjs';

const PLAYERS = { hls: 'hls.js', flv: 'mpegts.js' };
const ROUNDS = Number(process.argv[2] ?? 2);
const SEED = Number(process.argv[3] ?? 1);
/** The most that may pass between the first new keyframe and a playing picture. */
const LIMIT_S = 10;
/** A picture that stands still for so long is a stall. */
const STALL_MS = 500;
/** It plays again with the first of so many frames without a stall: a second of them. */
const PLAYING_FRAMES = 25;
/** How long stalls are counted once it plays. */
const AFTER_MS = 20_000;

const FAULTS = {
  'encoder away for 60 s': async (server, push, stream) => {
    await push.kill();
    await sleep(60_000);
    return server.push(stream);
  },
  'server killed, back after 10 s': async (server, push, stream) => {
    await Promise.all([server.kill(), push.kill()]);
    await sleep(10_000);
    await server.start();
    return server.push(stream);
  },
};

/** The same numbers from 0 to 1 for the same seed (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Notes when each frame was on the screen, whatever the element plays. */
function noteFrames() {
  const video = document.querySelector('video');
  window.shown = [];
  const note = () => {
    window.shown.push(performance.timeOrigin + performance.now());
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
}

/** What a viewer saw from `since` on: when it played again, and what stalled then. Null if it doesn't play yet. */
function watched(shown, since) {
  const frames = shown.filter((at) => at >= since);
  const gaps = frames.slice(1).map((at, i) => ({ at, length: at - frames[i] }));
  const first = frames.findIndex(
    (_, i) =>
      i + PLAYING_FRAMES < frames.length && gaps.slice(i, i + PLAYING_FRAMES).every(({ length }) => length < STALL_MS),
  );
  if (first < 0) return null;
  const played = frames[first];
  const after = gaps.slice(first).filter(({ at }) => at < played + AFTER_MS);
  return { seconds: (played - since) / 1000, played, stalls: after.filter(({ length }) => length >= STALL_MS) };
}

/** One fault, seen by one viewer of each player. */
async function outage(server, browser, fault, stream, chance) {
  const push = server.push(stream);
  await server.told('broadcast.started', stream, 20_000);
  const viewers = {};
  for (const player of Object.keys(PLAYERS)) {
    viewers[player] = await Viewer.open(browser, server.watchUrl(stream, `#${player}`));
    await viewers[player].page.evaluate(noteFrames);
  }
  await Promise.all(Object.entries(viewers).map(([player, viewer]) => viewer.watches(60, player, 20_000)));
  // Anywhere in a GOP and a segment.
  await sleep(4000 * chance());
  const next = await FAULTS[fault](server, push, stream);
  // A push is up with its first keyframe. (That the broadcast resumed is told only of interruptions of 3 s and more.)
  const keyframe = await server.told('push.up', stream, 20_000, 2);
  await sleep(keyframe + LIMIT_S * 1000 + AFTER_MS - Date.now());
  const rows = [];
  for (const [player, viewer] of Object.entries(viewers)) {
    const seen = watched(await viewer.page.evaluate(() => window.shown), keyframe);
    const { rebuilds, errors } = await viewer.stats();
    const reloaded = await viewer.wasReloaded();
    rows.push({ player, fault, seen, rebuilds, errors, reloaded, complaints: viewer.complaints });
    await viewer.close();
  }
  await next.stop();
  return rows;
}

const server = await Server.start();
const browser = await launch();
const rows = [];
try {
  const chance = random(SEED);
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const [i, fault] of Object.keys(FAULTS).entries()) {
      rows.push(...(await outage(server, browser, fault, `outage${round}${i}`, chance)));
    }
  }
} finally {
  await browser.close();
  await server.close();
}

console.log('| player | fault | s until playing | stalls in the 20 s after | players replaced | reloads | complaints |');
console.log('|---|---|---|---|---|---|---|');
for (const { player, fault, seen, rebuilds, reloaded, complaints } of rows) {
  const stalls = seen?.stalls.map(({ length }) => `${(length / 1000).toFixed(1)} s`) ?? [];
  const stalled = stalls.length === 0 ? '0' : `${stalls.length} (${stalls.join(', ')})`;
  const cells = [PLAYERS[player], fault, seen?.seconds.toFixed(1) ?? 'never', stalled, rebuilds, Number(reloaded), complaints.length];
  console.log(`| ${cells.join(' | ')} |`);
}
const bad = rows.filter(({ seen, reloaded, complaints }) => !seen || seen.seconds > LIMIT_S || reloaded || complaints.length > 0);
for (const { player, fault, errors, complaints } of bad) {
  console.error(`${player}, ${fault}: ${[...complaints, ...errors].join('; ')}`);
}
if (process.env.KAIBO_VERBOSE) for (const row of rows) console.error(JSON.stringify(row));
process.exitCode = bad.length === 0 ? 0 : 1;
