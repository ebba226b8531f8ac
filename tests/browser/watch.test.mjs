import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server, until } from './server.mjs';
import { difference, launch, Viewer } from './viewer.mjs';

const OUTPUT = fileURLToPath(new URL('../output/browser/', import.meta.url));
const PLAYERS = ['hls', 'flv'];
/** A test with an outage in it takes about half of this. */
const LIMIT = { timeout: 90_000 };

let server;
let browser;

before(async () => {
  await mkdir(OUTPUT, { recursive: true });
  server = await Server.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Two looks at the picture, a second of playing apart: it isn't black, and it moves. */
async function assertMovingPicture(viewer, player) {
  const one = await viewer.picture();
  await viewer.watches(25, player);
  const other = await viewer.picture();
  assert.ok(one.brightest > 100 && one.mean > 15, `a black picture: mean ${one.mean}, brightest ${one.brightest}`);
  assert.ok(difference(one, other) > 0.1, 'the picture stands still');
}

/** A first viewer stays until there is a picture, so that the viewers of the test join a running stream. */
async function waitUntilLive(stream) {
  const viewer = await Viewer.open(browser, server.watchUrl(stream));
  await viewer.sees('the stream is live', ({ state }) => state === 'live');
  await viewer.watches(10, 'hls');
  await viewer.close();
}

describe('a live stream', () => {
  let push;
  before(async () => {
    push = server.push('show');
    await waitUntilLive('show');
  });
  after(() => push.kill());

  for (const player of PLAYERS) {
    it(`plays as ${player}, and the picture moves`, LIMIT, async (t) => {
      const viewer = await Viewer.open(browser, server.watchUrl('show', `#${player}`));
      await viewer.watches(60, player);
      await assertMovingPicture(viewer, player);
      const stats = await viewer.stats();
      assert.equal(stats.rebuilds, 0, stats.errors.join('; '));
      assert.deepEqual([stats.width, stats.height], [640, 360]);
      assert.equal(await viewer.text('state-text'), 'Live');
      assert.match(await viewer.text('delay'), /^\d+\.\d s$/);
      assert.deepEqual(viewer.complaints, []);
      await viewer.page.screenshot({ path: `${OUTPUT}${player}.png` });
      await viewer.page.reload();
      const { firstPictureMs } = await viewer.sees('a picture', (now) => now.firstPictureMs !== null);
      t.diagnostic(`first picture as ${player}: ${Math.round(firstPictureMs)} ms; delay ${stats.delay?.toFixed(1)} s`);
      await viewer.close();
    });
  }

  it('plays HLS close to live, and does not stand still for it', LIMIT, async (t) => {
    const viewer = await Viewer.open(browser, server.watchUrl('show', '#hls'));
    await viewer.watches(10, 'hls');
    await viewer.page.evaluate(() => {
      window.stalls = 0;
      document.querySelector('video').addEventListener('waiting', () => window.stalls++);
    });
    const stalls = () => viewer.page.evaluate(() => window.stalls);
    // A busy machine may disturb it once; ten good seconds in a row are what a viewer would notice.
    let [since, before, most] = [Date.now(), await stalls(), 0];
    await viewer.sees('ten seconds close to live', async ({ delay }) => {
      if (delay === null || delay > 2.5 || (await stalls()) !== before) {
        [since, before, most] = [Date.now(), await stalls(), 0];
      }
      most = Math.max(most, delay ?? 0);
      return Date.now() - since > 10_000;
    }, 40_000);
    t.diagnostic(`at most ${most.toFixed(2)} s behind`);
    assert.match(await viewer.text('route'), /LL-HLS/);
    assert.deepEqual(viewer.complaints, []);
    await viewer.close();
  });

  it('switches between the players, and remembers the choice in the address', LIMIT, async () => {
    const viewer = await Viewer.open(browser, server.watchUrl('show'));
    await viewer.watches(30, 'hls');
    await viewer.page.getByRole('button', { name: 'FLV' }).click();
    await viewer.watches(30, 'flv');
    assert.equal(new URL(viewer.page.url()).hash, '#flv');
    await viewer.page.reload();
    await viewer.watches(30, 'flv');
    await viewer.page.getByRole('button', { name: 'HLS' }).press('Enter');
    await viewer.watches(30, 'hls');
    assert.equal(new URL(viewer.page.url()).hash, '#hls');
    await viewer.close();
  });

  it('starts silent and speaks when asked', LIMIT, async () => {
    const viewer = await Viewer.open(browser, server.watchUrl('show'));
    await viewer.watches(10, 'hls');
    const muted = () => viewer.page.evaluate(() => document.querySelector('video').muted);
    assert.equal(await muted(), true);
    await viewer.page.click('#unmute');
    assert.equal(await muted(), false);
    await viewer.page.keyboard.press('m');
    assert.equal(await muted(), true);
    await viewer.close();
  });

  for (const [locale, live] of [
    ['zh-CN', '直播中'],
    ['en-US', 'Live'],
  ]) {
    it(`fits a phone, in ${locale}`, LIMIT, async () => {
      const viewer = await Viewer.open(browser, server.watchUrl('show'), {
        locale,
        viewport: { width: 390, height: 844 },
        deviceScaleFactor: 2,
        isMobile: true,
        hasTouch: true,
      });
      await viewer.watches(30, 'hls');
      assert.equal(await viewer.text('state-text'), live);
      for (const [name, viewport] of [
        ['upright', { width: 390, height: 844 }],
        ['small', { width: 320, height: 568 }],
        ['sideways', { width: 844, height: 390 }],
      ]) {
        await viewer.page.setViewportSize(viewport);
        const { content, window } = await viewer.page.evaluate(() => ({
          content: document.documentElement.scrollWidth,
          window: innerWidth,
        }));
        assert.equal(window, viewport.width);
        assert.ok(content <= window, `${name}: ${content} px of content in a window of ${window} px`);
        await viewer.page.screenshot({ path: `${OUTPUT}phone-${locale}-${name}.png` });
      }
      await viewer.close();
    });
  }
});

describe('outages', () => {
  it('the encoder crashes and comes back: both players go on without a reload', LIMIT, async (t) => {
    const first = server.push('host');
    await waitUntilLive('host');
    const viewers = await Promise.all(
      PLAYERS.map((player) => Viewer.open(browser, server.watchUrl('host', `#${player}`))),
    );
    await Promise.all(viewers.map((viewer, i) => viewer.watches(60, PLAYERS[i])));

    const away = Date.now();
    await first.kill();
    for (const viewer of viewers) {
      await viewer.sees('the interruption', ({ state }) => state === 'interrupted');
      await until(3000, async () => /away/.test(await viewer.text('notice')), 'a notice with the countdown');
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, away + 5000 - Date.now())));
    const second = server.push('host');
    for (const [i, viewer] of viewers.entries()) {
      await viewer.sees('the resume', ({ state }) => state === 'live');
      await viewer.watches(60, PLAYERS[i], 20_000);
      await assertMovingPicture(viewer, PLAYERS[i]);
      assert.equal(await viewer.wasReloaded(), false);
      const { rebuilds, delay, errors } = await viewer.stats();
      t.diagnostic(`${PLAYERS[i]}: ${rebuilds} rebuilds, delay ${delay?.toFixed(1)} s, errors: ${errors.join('; ') || 'none'}`);
      assert.deepEqual(viewer.complaints, []);
      await viewer.close();
    }
    await second.kill();
  });

  it('the server is killed and comes back: both players go on without a reload', LIMIT, async (t) => {
    const first = server.push('studio');
    await waitUntilLive('studio');
    const viewers = await Promise.all(
      PLAYERS.map((player) => Viewer.open(browser, server.watchUrl('studio', `#${player}`))),
    );
    await Promise.all(viewers.map((viewer, i) => viewer.watches(60, PLAYERS[i])));

    await server.kill();
    await first.kill();
    for (const viewer of viewers) await viewer.sees('the outage', ({ online }) => !online);
    await server.start();
    const second = server.push('studio');
    for (const [i, viewer] of viewers.entries()) {
      await viewer.sees('the resume', ({ online, state }) => online && state === 'live');
      await viewer.watches(60, PLAYERS[i], 20_000);
      await assertMovingPicture(viewer, PLAYERS[i]);
      assert.equal(await viewer.wasReloaded(), false);
      const { rebuilds, delay, errors } = await viewer.stats();
      t.diagnostic(`${PLAYERS[i]}: ${rebuilds} rebuilds, delay ${delay?.toFixed(1)} s, errors: ${errors.join('; ') || 'none'}`);
      await viewer.close();
    }
    await second.kill();
  });
});

describe('before and after', () => {
  it('waits for the host, plays, and turns to the replay at the end', LIMIT, async () => {
    const viewer = await Viewer.open(browser, server.watchUrl('evening'));
    await viewer.sees('that nothing is on', ({ state }) => state === 'not_started' || state === 'not_found');
    const push = server.push('evening');
    await viewer.watches(90, 'hls', 20_000);
    assert.match(await viewer.poster(), /^\/live\/evening\.jpg 640x360$/);
    await push.stop();
    await viewer.sees('the end', ({ state }) => state === 'ended');
    await viewer.sees('the replay', ({ player }) => player === 'replay', 20_000);
    assert.match(await viewer.poster(), /^\/replay\/\w+\.jpg 640x360$/);
    await viewer.page.click('#play');
    await viewer.watches(30, 'replay');
    assert.equal(await viewer.page.evaluate(() => document.querySelector('video').controls), true);
    assert.equal(await viewer.wasReloaded(), false);
    await viewer.page.screenshot({ path: `${OUTPUT}replay.png` });

    const late = await Viewer.open(browser, server.watchUrl('evening'));
    await late.watches(30, 'replay');
    await late.close();
    await viewer.close();
  });

  it('says so when the address is not one', LIMIT, async () => {
    const viewer = await Viewer.open(browser, server.watchUrl('nobody'));
    await viewer.sees('that nothing is on', ({ state }) => state === 'not_started' || state === 'not_found');
    assert.equal(await viewer.page.isVisible('#card'), true);
    await viewer.page.screenshot({ path: `${OUTPUT}nothing.png` });
    await viewer.close();
  });
});
