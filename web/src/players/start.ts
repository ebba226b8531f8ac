import type { Player, PlayerEvents, Route } from './player';

/** Each player library is fetched when it is first needed. */
const hlsJs = () => import('./hls');
const mpegtsJs = () => import('./flv');

/** Something to play: the live stream by one of its routes, or the replay from a position in seconds. */
export type Source =
  | { readonly route: Route; readonly url: string }
  | { readonly route: 'replay'; readonly url: string; readonly from: number };

/** Starts fetching the library for a route while the page is still being set up. */
export function preload(route: Route): void {
  void (route === 'flv' ? mpegtsJs() : hlsJs());
}

/** HTTP-FLV needs Media Source Extensions of the classic kind; iPhones have none. */
export function flvPossible(): boolean {
  return 'MediaSource' in window;
}

export async function startPlayer(video: HTMLVideoElement, source: Source, events: PlayerEvents): Promise<Player> {
  if (source.route === 'flv') return (await mpegtsJs()).playFlv(video, source.url, events);
  const from = source.route === 'replay' ? source.from : null;
  const { hlsSupported, playHls } = await hlsJs();
  if (hlsSupported()) return playHls(video, source.url, events, from);
  const { playNative } = await import('./native');
  return playNative(video, source.url, events, from);
}
