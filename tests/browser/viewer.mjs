import { chromium } from 'playwright-core';
import { until } from './server.mjs';

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      // Two pages play at once: the one behind must not be slowed down.
      '--disable-renderer-backgrounding',
      '--disable-backgrounding-occluded-windows',
      '--disable-background-timer-throttling',
    ],
  });
}

/** Somebody who has one watch page open. */
export class Viewer {
  /** Everything the browser complained about. */
  complaints = [];

  static async open(browser, url, options = {}) {
    const viewer = new Viewer();
    viewer.context = await browser.newContext({ locale: 'en-US', viewport: { width: 1280, height: 800 }, ...options });
    viewer.page = await viewer.context.newPage();
    viewer.page.on('pageerror', (error) => viewer.complaints.push(String(error)));
    viewer.page.on('console', (message) => {
      // A failed request is part of an outage; a policy violation or an exception is a fault of the page.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        viewer.complaints.push(message.text());
      }
    });
    await viewer.page.goto(url);
    // A reload would lose this mark.
    await viewer.page.evaluate(() => {
      window.opened = true;
    });
    return viewer;
  }

  close() {
    return this.context.close();
  }

  /** What the page says about itself, as plain data. */
  stats() {
    return this.page.evaluate(() => {
      const names = Object.getOwnPropertyNames(window.kaibo);
      return Object.fromEntries(names.map((name) => [name, window.kaibo[name]]));
    });
  }

  text(id) {
    return this.page.textContent(`#${id}`);
  }

  /** Waits until the page's own figures satisfy `wanted`. */
  async sees(what, wanted, ms = 15_000) {
    let last;
    const ask = async () => {
      last = await this.stats();
      return (await wanted(last)) ? last : null;
    };
    try {
      return await until(ms, ask, what);
    } catch (error) {
      throw new Error(`${error.message}; the page says ${JSON.stringify(last)}`);
    }
  }

  /** Waits until that many more frames were decoded. */
  async watches(frames, player, ms = 15_000) {
    const before = await this.stats();
    return this.sees(
      `${frames} more frames by ${player}`,
      (now) => now.player === player && now.decodedFrames >= before.decodedFrames + frames,
      ms,
    );
  }

  /** The picture in small: how bright it is, how much is in it, and a print to compare it with another. */
  picture() {
    return this.page.evaluate(() => {
      const video = document.querySelector('video');
      const canvas = document.createElement('canvas');
      canvas.width = 64;
      canvas.height = 36;
      const context = canvas.getContext('2d');
      context.drawImage(video, 0, 0, canvas.width, canvas.height);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const luma = [];
      for (let i = 0; i < data.length; i += 4) {
        luma.push(0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]);
      }
      const brightest = Math.max(...luma);
      const mean = luma.reduce((sum, value) => sum + value, 0) / luma.length;
      return { mean, brightest, luma };
    });
  }

  /** Address and size of the picture that stands where the first one will be. */
  poster() {
    return this.page.evaluate(async () => {
      const address = document.querySelector('video').getAttribute('poster');
      const picture = new Image();
      picture.src = address;
      await picture.decode();
      return `${address} ${picture.naturalWidth}x${picture.naturalHeight}`;
    });
  }

  wasReloaded() {
    return this.page.evaluate(() => window.opened !== true || performance.getEntriesByType('navigation').length !== 1);
  }
}

/** Mean difference of two pictures, in steps of 256. */
export function difference(one, other) {
  return one.luma.reduce((sum, value, i) => sum + Math.abs(value - other.luma[i]), 0) / one.luma.length;
}
