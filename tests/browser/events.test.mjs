import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from './server.mjs';
import { launch, Viewer } from './viewer.mjs';

const LIMIT = { timeout: 60_000 };
/** So far from the event's own time the page may show it: it looks at the picture's time four times a second. */
const LATE_S = 0.6;

describe('a timed event', () => {
  let server;
  let browser;
  let push;
  let page;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    push = server.push('show');
    page = await Viewer.open(browser, server.watchUrl('show'));
    await page.watches(10, 'hls');
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  for (const player of ['hls', 'flv']) {
    it(`is shown by ${player} as text, when the picture comes to it`, LIMIT, async (t) => {
      const viewer = await Viewer.open(browser, server.watchUrl('show', `#${player}`));
      await viewer.watches(30, player);
      const name = `<img src=x onerror="document.title='hacked'"> 茶 100%`;
      const event = await server.tell('show', { type: 'product', payload: { name, price: 9.9 } });
      const seen = await viewer.sees('the event', ({ told }) => told.some(({ id }) => id === event.id));
      assert.equal(await viewer.text('event-text'), `${name} · 9.9`);
      assert.equal(await viewer.text('event-kind'), 'Product');
      assert.ok(await viewer.page.isVisible('#event'));
      assert.equal(await viewer.page.locator('#event img').count(), 0);
      const { at, payload } = seen.told.find(({ id }) => id === event.id);
      assert.deepEqual(payload, { name, price: 9.9 });
      if (player === 'hls') {
        // Of HLS the page knows the broadcast's own time.
        const late = at - event.media_ms / 1000;
        t.diagnostic(`shown ${late.toFixed(2)} s behind its time`);
        assert.ok(late > -0.1 && late < LATE_S, `${late} s`);
      }
      assert.equal(seen.rebuilds, 0, seen.errors.join('; '));
      assert.deepEqual(viewer.complaints, []);
      await viewer.close();
    });
  }

  it('is shown again by the replay', LIMIT, async () => {
    const event = await server.tell('show', { type: 'notice', payload: 'again' });
    await page.sees('the event live', ({ told }) => told.some(({ id }) => id === event.id));
    await page.close();
    await push.stop();
    const viewer = await Viewer.open(browser, server.watchUrl('show'));
    await viewer.watches(10, 'replay', 20_000);
    await viewer.page.evaluate((ms) => {
      document.querySelector('video').currentTime = ms / 1000 - 1;
    }, event.media_ms);
    await viewer.sees('the event', ({ told }) => told.some(({ id }) => id === event.id));
    assert.equal(await viewer.text('event-text'), 'again');
    await viewer.close();
  });
});
