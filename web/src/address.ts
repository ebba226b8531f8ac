/** Which stream this page shows, and where the server keeps it. */
export interface Address {
  readonly app: string;
  readonly stream: string;
  /** Play key and preview token as the page was opened with them (`?txSecret=…&txTime=…`), or nothing. */
  readonly key: string;
  /** A token came with the page: what is pushed shows before its start, over FLV. */
  readonly preview: boolean;
}

const WATCH_PATH = /^\/watch\/([A-Za-z0-9_-]{1,128})\/([A-Za-z0-9_-]{1,128})\/?$/;

/** Reads `/watch/APP/STREAM?txSecret=…&txTime=…&preview=…`; anything else is no address. */
export function parseAddress(pathname: string, search: string): Address | null {
  const match = WATCH_PATH.exec(pathname);
  const app = match?.[1];
  const stream = match?.[2];
  if (app === undefined || stream === undefined) return null;
  const key = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(search)) {
    if (name === 'txSecret' || name === 'txTime' || name === 'preview') key.append(name, value);
  }
  const query = key.toString();
  return { app, stream, key: query === '' ? '' : `?${query}`, preview: key.has('preview') };
}

export function hlsUrl({ app, stream, key }: Address): string {
  return `/${app}/${stream}.m3u8${key}`;
}

export function flvUrl({ app, stream, key }: Address): string {
  return `/${app}/${stream}.flv${key}`;
}

/** The newest picture of the stream. */
export function snapshotUrl({ app, stream, key }: Address): string {
  return `/${app}/${stream}.jpg${key}`;
}

/** The cover of the replay at `replay`. */
export function coverUrl(replay: string, { key }: Address): string {
  return `${replay.replace(/\.m3u8$/, '.jpg')}${key}`;
}

export function statusUrl({ app, stream }: Address): string {
  return `/status/${app}/${stream}`;
}
