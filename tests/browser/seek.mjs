/** How soon Chromium plays a file from a place in it: seconds from the seek to the first picture after it.
 *
 *    node tests/browser/seek.mjs URL [SHARE]     SHARE of the duration, 0.9 unless said otherwise
 */
import { launch } from './viewer.mjs';

const [url, share = '0.9'] = process.argv.slice(2);
const browser = await launch();
try {
  const page = await (await browser.newContext()).newPage();
  await page.setContent('<video muted></video>');
  const seen = await page.evaluate(async ([src, share]) => {
    const video = document.querySelector('video');
    const told = (event) =>
      new Promise((resolve, reject) => {
        video.addEventListener(event, resolve, { once: true });
        video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
      });
    const playing = told('playing');
    video.src = src;
    await video.play();
    await playing;
    const from = performance.now();
    const to = video.duration * Number(share);
    video.currentTime = to;
    const at = await new Promise((resolve) => {
      const look = (now, { mediaTime }) =>
        mediaTime >= to - 0.1 ? resolve(mediaTime) : video.requestVideoFrameCallback(look);
      video.requestVideoFrameCallback(look);
    });
    const shown_s = (performance.now() - from) / 1000;
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    return { duration_s: video.duration, at_s: at, shown_s, plays_s: (performance.now() - from) / 1000 };
  }, [url, share]);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
