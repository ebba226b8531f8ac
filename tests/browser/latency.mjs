/**
 * How old the picture is that a viewer sees: the encoder draws the wall clock into each picture, the page reads it back
 * four times a second from what the video element shows. Encoder, server and players on one machine, one clock.
 * `scripts/latency SECONDS [PLAYER:LIST,...]`
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Encoder } from './rig/clock.mjs';
import { servePages } from './rig/pages.mjs';
import { idleMeter, mediaPlaylist, NAMES, open, STREAM } from './rig/run.mjs';
import { ages, percentile, stalls } from './rig/verdict.mjs';
import { Server, until } from './server.mjs';
import { launch } from './viewer.mjs';

const [length = '60', wanted = 'hls17:ll,hls17:plain,mpegts:flv'] = process.argv.slice(2);
const measured = Number(length) * 1000;
if (!(measured >= 1000 && measured <= 7_200_000)) throw new Error(`SECONDS ${length}`);
/** Players join, and come to the delay that they want. */
const SETTLE_MS = 30_000;

const server = await Server.start();
const pages = await servePages();
const browser = await launch();
const runs = [];
let encoder;
try {
  encoder = new Encoder(server.pushUrl(STREAM));
  const list = await until(15_000, () => mediaPlaylist(server, `/live/${STREAM}.m3u8`), 'a playlist');
  const low = list.includes('#EXT-X-PART-INF');
  if (!low) console.error('no EXT-X-PART-INF: the server has no low-latency list, its rows are left out');
  await sleep(8000);
  for (const [player, name] of wanted.split(',').map((pair) => pair.split(':'))) {
    if (low || name !== 'll') runs.push({ player, list: name, seen: await open(browser, pages, server, player, name) });
  }
  await sleep(SETTLE_MS);
  const idle = idleMeter();
  const from = Date.now();
  await sleep(measured);
  const to = Date.now();
  const idled = idle();
  if (!encoder.running) throw new Error(`the encoder was closed: ${encoder.said}`);
  await Promise.all(runs.map(({ seen }) => seen.close()));

  console.log(`${measured / 1000} s; ${idled}; 2 s GOP, 30 pictures a second, 320x180. Seconds from drawing a picture to seeing it.\n`);
  console.log('| player | list | p50 | p95 | max | the player says (p50) | stalls | longest | dropped frames | fatal |');
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  const s = (ms) => (Number.isFinite(ms) ? (ms / 1000).toFixed(2) : '-');
  for (const { player, list: name, seen } of runs) {
    const seenAges = ages(seen.looks, from, to);
    const during = seen.looks.filter((look) => look.at >= from && look.at < to);
    const held = stalls(during, to);
    const claimed = percentile(during.flatMap((look) => look.claimed ?? []), 0.5) * 1000;
    const dropped = during.flatMap((look) => look.dropped ?? []);
    const fatal = seen.events.filter((event) => event.fatal);
    const cells = [
      NAMES[player], name, s(percentile(seenAges, 0.5)), s(percentile(seenAges, 0.95)), s(percentile(seenAges, 1)), s(claimed),
      held.length, s(Math.max(0, ...held.map((stall) => stall.to - stall.from))), dropped.length ? dropped.at(-1) - dropped[0] : '-', fatal.length,
    ];
    console.log(`| ${cells.join(' | ')} |`);
    for (const { at, what } of fatal.slice(0, 3)) console.error(`${player} ${name}: fatal at ${s(at - from)}: ${what}`);
  }
} finally {
  await encoder?.kill();
  await Promise.allSettled(runs.map(({ seen }) => seen.close()));
  await browser.close();
  pages.close();
  await server.close();
}
