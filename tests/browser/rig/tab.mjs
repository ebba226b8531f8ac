/** A player in a tab of its own. */

const DRAIN_MS = 2000;

export class Tab {
  looks = [];
  events = [];
  #page;
  #context;
  #timer;

  static async open(browser, pages, { player, url, low }) {
    const tab = new Tab();
    tab.#context = await browser.newContext({ viewport: { width: 400, height: 240 } });
    tab.#page = await tab.#context.newPage();
    tab.#page.on('pageerror', (error) => tab.events.push({ at: Date.now(), what: `exception: ${error}`, fatal: true }));
    const query = new URLSearchParams({ player, url, low: low ? '1' : '0' });
    await tab.#page.goto(`${pages.at}/rig/page.html?${query}`);
    tab.#timer = setInterval(() => tab.#drain().catch(() => {}), DRAIN_MS);
    return tab;
  }

  async #drain() {
    const { looks, events } = await this.#page.evaluate(() => window.rig.take());
    this.looks.push(...looks);
    this.events.push(...events);
  }

  async close() {
    clearInterval(this.#timer);
    await this.#drain();
    await this.#context.close();
  }
}
