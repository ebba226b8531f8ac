/** A clip in hls.js: it begins with the picture that was asked for, goes over the gap in its broadcast, and ends. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { servePages } from './rig/pages.mjs';
import { Server, until } from './server.mjs';
import { launch } from './viewer.mjs';

/** What currentTime says beside what is shown: a frame and a half. */
const OFF_S = 0.05;

let server;
let browser;
let pages;

before(async () => {
  server = await Server.start();
  browser = await launch();
  pages = await servePages();
});

after(async () => {
  await browser?.close();
  await server?.close();
  pages?.close();
});

it('a clip across an interruption plays from its first picture to its end', { timeout: 90_000 }, async (t) => {
  const stretches = async (id) => {
    const timeline = await server.api('GET', `/broadcasts/${id}/timeline`).catch(() => ({ stretches: [] }));
    return timeline.stretches.filter(({ held }) => !held);
  };
  const first = server.push('room');
  await server.told('broadcast.started', 'room', 20_000);
  const { items: [{ id }] } = await server.api('GET', '/broadcasts?stream=room');
  await until(20_000, async () => (await stretches(id))[0]?.duration_ms >= 4000, 'four seconds');
  await first.kill();
  await server.told('broadcast.interrupted', 'room', 20_000);
  server.push('room');
  const second = await until(20_000, async () => (await stretches(id)).find(({ replay_ms: at }, n) => n > 0 && at > 0), 'more');
  await until(20_000, async () => (await stretches(id)).at(-1).duration_ms >= 2500, 'two seconds and a half');

  const wanted = { from_ms: 1300, to_ms: second.media_ms + 2000 };
  const clip = await server.api('POST', `/broadcasts/${id}/clips`, wanted);
  assert.equal(clip.state, 'ready');
  const list = await (await fetch(clip.urls.hls)).text();
  const hidden = Number(/EXT-X-START:TIME-OFFSET=([0-9.]+)/.exec(list)?.[1] ?? 0);

  const page = await (await browser.newContext()).newPage();
  const query = new URLSearchParams({ player: 'hls17', url: clip.urls.hls, low: '0' });
  await page.goto(`${pages.at}/rig/page.html?${query}`);
  const seen = { looks: [], events: [] };
  await until(40_000, async () => {
    const { looks, events } = await page.evaluate(() => window.rig.take());
    seen.looks.push(...looks);
    seen.events.push(...events);
    return seen.events.some(({ what, fatal }) => fatal || what === 'ended');
  }, 'its end');
  assert.deepEqual(seen.events.filter(({ fatal }) => fatal), []);
  const times = seen.looks.map(({ time }) => time).filter((time) => time > 0);
  const end = await page.evaluate(() => document.querySelector('video').currentTime);
  t.diagnostic(`${hidden} s hidden, from ${times[0]} to ${end}, ${clip.duration_ms} ms`);
  assert.ok(times[0] >= hidden - OFF_S, `it showed what is before its beginning: ${times[0]}`);
  assert.ok(times[0] < hidden + 1.5, `it began late: ${times[0]}`);
  assert.ok(Math.abs(end - hidden - clip.duration_ms / 1000) <= 2 * OFF_S, `${end} s at its end`);
  const { frames } = seen.looks.findLast((look) => look.frames !== undefined);
  assert.ok(frames > 25, `${frames} frames`);
});
