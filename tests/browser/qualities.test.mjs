/** Several qualities of one stream in hls.js: it plays, and changes between them without a seam. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { servePages } from './rig/pages.mjs';
import { Server, until } from './server.mjs';
import { launch } from './viewer.mjs';

const LIMIT = { timeout: 90_000 };
const SIZES = { room_sd: '160:90', room_hd: '320:180', room_uhd: '640:360' };
/** Playback may skip this much. */
const JUMP_S = 0.1;
/** It may stand still for this long between two looks: three encoders and a browser fill a small machine. */
const STALL_S = 0.5;

let server;
let browser;
let pages;
let encoder;

before(async () => {
  server = await Server.start();
  browser = await launch();
  pages = await servePages();
  const x264 = '-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0';
  const outputs = Object.entries(SIZES).flatMap(([name, size]) =>
    `-map 0:v -map 1:a -vf scale=${size} ${x264} -c:a aac -f flv`.split(' ').concat(server.pushUrl(name)),
  );
  const inputs = '-re -f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=sample_rate=44100'.split(' ');
  encoder = spawn('ffmpeg', ['-nostdin', '-v', 'error', ...inputs, ...outputs], { stdio: ['ignore', 'ignore', 'inherit'] });
});

after(async () => {
  await browser?.close();
  if (encoder?.exitCode === null) {
    encoder.kill('SIGKILL');
    await once(encoder, 'exit');
  }
  await server?.close();
  pages?.close();
});

describe('three qualities', () => {
  for (const low of ['1', '0']) {
    it(`are changed without a stall or a jump, low latency ${low}`, LIMIT, async (t) => {
      await until(20_000, async () => {
        const answer = await fetch(server.url('/live/room.m3u8'));
        return answer.ok && (await answer.text()).match(/EXT-X-STREAM-INF/g).length === 3;
      });
      // There is enough to begin with at any place.
      await sleep(2000);
      const page = await (await browser.newContext()).newPage();
      const query = new URLSearchParams({ player: 'hls17', url: server.url('/live/room.m3u8'), low });
      await page.goto(`${pages.at}/rig/page.html?${query}`);
      const width = () => page.evaluate(() => document.querySelector('video').videoWidth);
      await until(20_000, width);
      await page.evaluate(() => (window.hls.currentLevel = 0));
      await until(20_000, async () => (await width()) === 160);
      await sleep(2000);
      await page.evaluate(() => window.rig.take());
      for (const [level, expected] of [
        [2, 640],
        [0, 160],
        [1, 320],
      ]) {
        await page.evaluate((next) => (window.hls.nextLevel = next), level);
        await until(20_000, async () => (await width()) === expected, `${expected} pixels wide`);
        await sleep(1500);
      }
      const { looks, events } = await page.evaluate(() => window.rig.take());
      assert.deepEqual(events.filter(({ fatal }) => fatal), []);
      // The clocks of the wall and of the video, compared over the whole: neither a stall nor a jump.
      const ahead = looks.map(({ at, time }) => time - at / 1000);
      const steps = ahead.slice(1).map((now, at) => now - ahead[at]);
      const [back, forth] = [Math.min(...steps), Math.max(...steps)];
      t.diagnostic(`low ${low}: largest steps ${back.toFixed(3)} s and ${forth.toFixed(3)} s; ${events.map(({ what }) => what)}`);
      assert.ok(forth < JUMP_S, `it jumped by ${forth} s`);
      assert.ok(back > -STALL_S, `it stood still for ${-back} s`);
      await page.context().close();
    });
  }
});
