import { coverUrl, flvUrl, hlsUrl, parseAddress, snapshotUrl, statusUrl, type Address } from './address';
import { StatusFeed } from './feed';
import { Playback } from './playback';
import type { Route } from './players/player';
import { flvPossible, preload, type Source } from './players/start';
import { NEW_ROOM, programme, reduce, type Report, type Room } from './room';
import { publishStats, type Told } from './stats';
import { Still } from './still';
import { preferredLanguage, type Language } from './text';
import { View } from './view';

const LANGUAGE_KEY = 'kaibo.language';
/** Timed events remembered for the tests; older ones are dropped. */
const MAX_TOLD = 50;
/** The countdown and the figures change so often. */
const REFRESH_MS = 500;

function main(): void {
  const address = parseAddress(location.pathname, location.search);
  let route = routeInHash();
  let language = storedLanguage() ?? preferredLanguage(navigator.languages);
  let room: Room = NEW_ROOM;
  if (address !== null) preload(route);

  const view = new View(address?.stream ?? '', {
    route(chosen) {
      route = chosen;
      history.replaceState(null, '', `#${chosen}`);
      direct();
    },
    language(chosen) {
      language = chosen;
      storeLanguage(chosen);
      show();
    },
    resume: () => playback.resume(),
  });
  const told: Told[] = [];
  const playback = new Playback(view.video, new Still(view.still), room, show, (cue) => {
    told.push({ ...cue, at: view.video.currentTime });
    if (told.length > MAX_TOLD) told.shift();
    view.tell(cue, language);
  });
  publishStats(view.video, playback, () => room, told);

  function show(): void {
    view.show({
      language,
      room,
      badAddress: address === null,
      route,
      flvPossible: flvPossible(),
      kind: playback.kind,
      hasPicture: playback.hasPicture,
      waitsForViewer: playback.waitsForViewer,
      problem: playback.problem,
      poster: address === null ? null : posterOf(address, room),
      protocol: playback.protocol(),
      delay: playback.delay(),
      bitrate: playback.bitrate(),
      now: Date.now(),
    });
  }

  function direct(): void {
    if (address !== null) playback.aim(sourceOf(address, room, route), room);
    show();
  }

  function hear(report: Report): void {
    const before = room.status?.broadcast ?? null;
    room = reduce(room, report);
    const after = room.status?.broadcast ?? null;
    // The same addresses carry the next broadcast, which begins with a new timeline.
    const another = before !== null && after !== null && before !== after && programme(room) === 'live';
    direct();
    if (another) playback.restart();
  }

  window.addEventListener('hashchange', () => {
    route = routeInHash();
    direct();
  });
  direct();
  window.setInterval(show, REFRESH_MS);
  if (address !== null) new StatusFeed(statusUrl(address), hear).start();
}

function sourceOf(address: Address, room: Room, route: Route): Source | null {
  if (address.preview && room.phase === 'not_started' && flvPossible()) return { route: 'flv', url: flvUrl(address) };
  switch (programme(room)) {
    case 'live':
      return { route, url: route === 'flv' ? flvUrl(address) : hlsUrl(address) };
    case 'replay':
      return room.status?.replay ? { route: 'replay', url: `${room.status.replay}${address.key}`, from: 0 } : null;
    case 'nothing':
      return null;
  }
}

/** What stands where the first picture will be. */
function posterOf(address: Address, room: Room): string | null {
  switch (programme(room)) {
    case 'live':
      // Before the first answer nobody knows whether there is one.
      return room.status === null ? null : snapshotUrl(address);
    case 'replay':
      return room.status?.replay ? coverUrl(room.status.replay, address) : null;
    case 'nothing':
      return null;
  }
}

function routeInHash(): Route {
  return location.hash === '#flv' && flvPossible() ? 'flv' : 'hls';
}

/** The store may be forbidden (private windows, policies): the choice then lasts for this page. */
function storedLanguage(): Language | null {
  try {
    const stored = localStorage.getItem(LANGUAGE_KEY);
    return stored === 'zh' || stored === 'en' ? stored : null;
  } catch {
    return null;
  }
}

function storeLanguage(language: Language): void {
  try {
    localStorage.setItem(LANGUAGE_KEY, language);
  } catch {
    // See storedLanguage.
  }
}

main();
