/** What the rig's two measurements have in common: the lists of a stream, the players of a run, and the machine. */
import { cpus } from 'node:os';
import { Program } from './program.mjs';
import { Tab } from './tab.mjs';

export const STREAM = 'room';
export const PAGES = ['hls17', 'hls16', 'shaka', 'mpegts'];
export const NAMES = {
  hls17: 'hls.js 1.7.4',
  hls16: 'hls.js 1.6.19',
  shaka: 'Shaka 5.2.12',
  mpegts: 'mpegts.js 1.8.2',
  gstreamer: 'GStreamer hlsdemux2',
  ffmpeg: 'ffmpeg',
};
/** Paths by list; the low-latency list is the plain one, read by a player that wants its parts. */
export const LISTS = {
  ll: `/live/${STREAM}.m3u8`,
  plain: `/live/${STREAM}.m3u8`,
  ts: `/live/${STREAM}/ts.m3u8`,
  flv: `/live/${STREAM}.flv`,
};

/** Whether a player reads a list in that way at all. */
export function fits(player, list) {
  if (player === 'mpegts') return list === 'flv';
  // ffmpeg, which knows nothing of parts, reads the low-latency list as a plain one.
  return list !== 'flv' || player === 'ffmpeg';
}

/** The media playlist behind `way`, or null while there is none. */
export async function mediaPlaylist(server, way) {
  const url = server.url(way);
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) return null;
  const uri = (await answer.text()).split('\n').find((line) => line && !line.startsWith('#'));
  const media = await fetch(new URL(uri, url)).catch(() => null);
  return media?.ok ? media.text() : null;
}

export async function open(browser, pages, server, player, list) {
  const url = server.url(LISTS[list]);
  if (!PAGES.includes(player)) return new Program({ player, url });
  return Tab.open(browser, pages, { player, url, low: list === 'll' || list === 'flv' });
}

/** Says how idle the machine was since it was made: a busy one stalls players by itself. */
export function idleMeter() {
  const times = () =>
    cpus().reduce(
      (sum, { times: { idle, ...rest } }) => ({
        idle: sum.idle + idle,
        all: sum.all + idle + Object.values(rest).reduce((a, b) => a + b, 0),
      }),
      { idle: 0, all: 0 },
    );
  const before = times();
  return () => {
    const now = times();
    return `${Math.round((100 * (now.idle - before.idle)) / (now.all - before.all))} % of ${cpus().length} cores idle`;
  };
}
