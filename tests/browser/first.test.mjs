/**
 * The first viewers of a broadcast, who ask before its first segment is there: the watch page, and hls.js as it is used
 * elsewhere, with its own defaults.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server, until } from './server.mjs';
import { launch } from './viewer.mjs';

const LIMIT = { timeout: 90_000 };
/** From the first request to a moving picture: a GOP of 2 s, and what a busy machine takes. */
const PICTURE_MS = 15_000;
/** From there to the delay of a low-latency list. */
const CLOSE_MS = 15_000;
/** So much is played at least: a player that loads the first segment over and over stands still after 2 s. */
const PLAYED_S = 5;
/** A busy machine may hold a picture for a moment; a player that is stuck stands still for 4 s and more. */
const STILL_MS = 1500;

let server;
let browser;

before(async () => {
  server = await Server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** In the page: the longest time that the picture stood still once it had moved. */
function noteStandstills() {
  window.still = 0;
  let [time, moved] = [0, null];
  setInterval(() => {
    const now = performance.now();
    const { currentTime, paused } = document.querySelector('video') ?? { currentTime: 0, paused: true };
    if (moved !== null) window.still = Math.max(window.still, now - moved);
    // The first jump is to where it begins to play.
    if (currentTime !== time && !paused) [time, moved] = [currentTime, time > 0 ? now : null];
  }, 50);
}

/** In the page, with the script of hls.js. */
function playWithDefaults(url) {
  const video = document.querySelector('video');
  const hls = new Hls();
  hls.loadSource(url);
  hls.attachMedia(video);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
  window.delay = () => hls.latency;
}

/** Waits for the broadcast by itself. */
const watchPage = {
  behind: 2.5,
  async open(page, stream) {
    await page.goto(server.watchUrl(stream, '#hls'));
    await page.evaluate(() => {
      window.delay = () => window.kaibo.delay;
    });
  },
  play() {},
};

const bare = (module) => ({
  // With its defaults hls.js never makes up for what it lost at the beginning.
  behind: 4,
  async open(page) {
    await page.setContent('<video muted playsinline></video>');
    const script = new URL(`node_modules/${module}/dist/hls.min.js`, import.meta.url);
    await page.addScriptTag({ path: fileURLToPath(script) });
  },
  play: (page, stream) => page.evaluate(playWithDefaults, server.url(`/live/${stream}.m3u8`)),
});

const PLAYERS = { 'the watch page': watchPage, 'hls.js 1.7': bare('hls.js'), 'hls.js 1.6': bare('hls16') };

/** Watches until it has come close to live, and gives what the page saw. */
async function watch(page, behind) {
  const time = () => page.evaluate(() => document.querySelector('video')?.currentTime ?? 0);
  await until(PICTURE_MS, async () => (await time()) > 1, 'a second of pictures');
  await until(CLOSE_MS, async () => {
    const delay = await page.evaluate(() => window.delay());
    return (await time()) > PLAYED_S && delay > 0 && delay <= behind;
  }, `${PLAYED_S} s of pictures, and no more than ${behind} s behind`);
  return page.evaluate(() => ({
    still: window.still,
    delay: window.delay(),
    parts: performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => name.endsWith('.m4s')),
  }));
}

describe('the first viewers of a broadcast', { concurrency: true }, () => {
  for (const [name, { behind, open, play }] of Object.entries(PLAYERS)) {
    it(`play on from its first segment with ${name}, and load each part once`, LIMIT, async (t) => {
      const stream = `premiere-${Object.keys(PLAYERS).indexOf(name)}`;
      const context = await browser.newContext();
      const page = await context.newPage();
      await open(page, stream);
      await page.evaluate(noteStandstills);
      const push = server.push(stream);
      await server.told('broadcast.started', stream, 20_000);
      await play(page, stream);
      const { still, delay, parts } = await watch(page, behind);
      await context.close();
      await push.kill();
      t.diagnostic(`stood still for ${Math.round(still)} ms at the most, ${delay.toFixed(2)} s behind, ${parts.length} parts`);
      assert.ok(parts.some((part) => /\/1\.\d+\.m4s$/.test(part)), 'it came too late for the first segment');
      assert.deepEqual(parts.filter((part, at) => parts.indexOf(part) !== at), []);
      assert.ok(still < STILL_MS, `it stood still for ${Math.round(still)} ms`);
    });
  }
});
