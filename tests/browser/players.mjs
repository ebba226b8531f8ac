/**
 * Players through an outage of the encoder: how long each stalls at the two joints, what it shows in between, and how
 * soon it shows new pictures. Prints a Markdown table. `scripts/players --help`.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Encoder } from './rig/clock.mjs';
import { servePages } from './rig/pages.mjs';
import { fits, idleMeter, mediaPlaylist, NAMES, open, STREAM } from './rig/run.mjs';
import { judge } from './rig/verdict.mjs';
import { Server, until } from './server.mjs';
import { launch } from './viewer.mjs';

const { values } = parseArgs({
  options: {
    away: { type: 'string', default: '20', multiple: false },
    before: { type: 'string', default: '25' },
    after: { type: 'string', default: '25' },
    size: { type: 'string', default: '' },
    players: { type: 'string', default: 'hls17,hls16,shaka,gstreamer,ffmpeg' },
    lists: { type: 'string', default: 'll,plain,ts' },
    settings: { type: 'string', default: '' },
    json: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`scripts/players [options]
  --away SECONDS      how long the encoder is away (20)
  --before, --after   seconds of live around it (25)
  --size WxH          it comes back with pictures of another size, 16:9 and 16 blocks wide (256x144)
  --players NAMES     of ${Object.keys(NAMES).join(',')} (all but mpegts)
  --lists NAMES       of ll,plain,ts,flv (ll,plain,ts; ll only where the server has it)
  --settings LINES    lines for the server's configuration, with ; between them
  --json FILE         keeps every look at every player`);
  process.exit(0);
}
const seconds = (name) => {
  const number = Number(values[name]);
  if (!(number >= 0 && number <= 3600)) throw new Error(`--${name} ${values[name]}`);
  return number * 1000;
};
const [away, before, after] = ['away', 'before', 'after'].map(seconds);
/** Ends a player that misses the end. */
const END_MS = 20_000;

const settings = values.settings.split(';').filter(Boolean);
// The way to the end of the default window would take the broadcast with it.
if (away > 840_000) settings.push('broadcast.resume_window = "25m"');
const server = await Server.start(settings);
const pages = await servePages();
const browser = await launch();
const runs = [];
let encoder;
try {
  encoder = new Encoder(server.pushUrl(STREAM));
  const list = await until(15_000, () => mediaPlaylist(server, `/live/${STREAM}.m3u8`), 'a playlist');
  const low = list.includes('#EXT-X-PART-INF');
  if (!low) console.error('no EXT-X-PART-INF: the server has no low-latency list, its rows are left out');
  // Six segments: players join a running broadcast.
  await sleep(8000);
  for (const name of values.lists.split(',').filter((name) => low || name !== 'll')) {
    for (const player of values.players.split(',').filter((player) => fits(player, name))) {
      runs.push({ player, list: name, seen: await open(browser, pages, server, player, name) });
    }
  }
  const idle = idleMeter();
  await sleep(before);
  const cut = Date.now();
  await encoder.kill();
  console.error(`the encoder is gone for ${away / 1000} s`);
  await sleep(away);
  const [width, height] = values.size ? values.size.split('x').map(Number) : [320, 180];
  encoder = new Encoder(server.pushUrl(STREAM), { width, height });
  const back = encoder.began;
  await sleep(after);
  if (!encoder.running) throw new Error(`the encoder was closed: ${encoder.said}`);
  const stop = Date.now();
  await encoder.stop();
  // Those who follow the list to its end end by themselves.
  await sleep(END_MS);
  const end = Date.now();
  const idled = idle();
  await Promise.all(runs.map(({ seen }) => seen.close()));
  report(runs, { cut, back, stop, end }, idled);
  if (values.json) {
    const kept = runs.map(({ player, list: name, seen }) => ({ player, list: name, looks: seen.looks, events: seen.events }));
    await writeFile(values.json, JSON.stringify({ cut, back, stop, end, runs: kept }));
  }
} finally {
  await encoder?.kill();
  await Promise.allSettled(runs.map(({ seen }) => seen.close()));
  await browser.close();
  pages.close();
  await server.close();
}

function report(all, marks, idled) {
  const s = (ms) => (ms === null || ms === undefined || Number.isNaN(ms) ? '-' : (ms / 1000).toFixed(1));
  console.log(`Outage of ${away / 1000} s${values.size ? `, back as ${values.size}` : ''}; ${idled}. All in seconds.\n`);
  console.log('| player | list | delay before | stall at the cut | stalled while away | stall at the return | new picture after | delay after | frames | fatal | verdict |');
  console.log('|---|---|---|---|---|---|---|---|---|---|---|');
  let failed = 0;
  for (const { player, list, seen } of all) {
    const row = judge(seen, marks);
    failed += row.passed ? 0 : 1;
    const cells = [
      NAMES[player], list, s(row.before), s(row.cutStall), s(row.awayStalled), s(row.backStall), s(row.recovery), s(row.after),
      row.frames ?? 0, row.fatal.length, row.passed ? 'pass' : row.why.join(', '),
    ];
    console.log(`| ${cells.join(' | ')} |`);
    const notes = [...row.fatal.slice(0, 3).map(({ at, what }) => `fatal at ${s(at - marks.cut)}: ${what}`), ...(row.errors ?? []).slice(0, 8)];
    const counts = `lost at the cut ${s(row.lostAtCut)}, end missing ${s(row.missing)}, jumps ${row.jumps}, seeks ${row.seeks}, broken pictures ${row.broken}, ranges ${row.ranges}`;
    console.error(`${player} ${list}: ${counts}${notes.length ? `; ${notes.join('; ')}` : ''}`);
  }
  console.log(`\n${all.length} players, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
