import type { Player, PlayerEvents, Route } from './player';

/** Each player library is fetched when it is first needed. */
const hlsJs = () => import('./hls');
const mpegtsJs = () => import('./flv');

/** Something to play: the live stream by one of its routes, or the replay from a position in seconds. */
export type Source =
  | { readonly route: Route; readonly url: string }
  | { readonly route: 'replay'; readonly url: string; readonly from: number };

/** Makes a player and starts it, at once: nobody can get between the decision to play and the video element. */
export type StartPlayer = (video: HTMLVideoElement, events: PlayerEvents) => Player;

/** Starts fetching the library for a route while the page is still being set up. */
export function preload(route: Route): void {
  void (route === 'flv' ? mpegtsJs() : hlsJs());
}

/** HTTP-FLV needs Media Source Extensions of the classic kind; iPhones have none. */
export function flvPossible(): boolean {
  return 'MediaSource' in window;
}

/** Fetches what a source needs to be played. */
export async function prepare(source: Source): Promise<StartPlayer> {
  const { url } = source;
  if (source.route === 'flv') {
    const { playFlv } = await mpegtsJs();
    return (video, events) => playFlv(video, url, events);
  }
  const from = source.route === 'replay' ? source.from : null;
  const { hlsSupported, playHls } = await hlsJs();
  if (hlsSupported()) return (video, events) => playHls(video, url, events, from);
  const { playNative } = await import('./native');
  return (video, events) => playNative(video, url, events, from);
}
