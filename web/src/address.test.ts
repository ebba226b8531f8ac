import { describe, expect, it } from 'vitest';
import { coverUrl, flvUrl, hlsUrl, parseAddress, snapshotUrl, statusUrl } from './address';

describe('the address of the page', () => {
  it('names the stream and its media', () => {
    const address = parseAddress('/watch/live/room-1_A', '');
    expect(address).toEqual({ app: 'live', stream: 'room-1_A', key: '', preview: false });
    expect(hlsUrl(address!)).toBe('/live/room-1_A.m3u8');
    expect(flvUrl(address!)).toBe('/live/room-1_A.flv');
    expect(statusUrl(address!)).toBe('/status/live/room-1_A');
  });

  it('keeps the play key on the media and drops every other parameter', () => {
    const address = parseAddress('/watch/live/room', '?utm=x&txSecret=AbC&txTime=5efba7d0');
    expect(hlsUrl(address!)).toBe('/live/room.m3u8?txSecret=AbC&txTime=5efba7d0');
    expect(flvUrl(address!)).toBe('/live/room.flv?txSecret=AbC&txTime=5efba7d0');
    expect(snapshotUrl(address!)).toBe('/live/room.jpg?txSecret=AbC&txTime=5efba7d0');
    expect(coverUrl('/replay/0a1.m3u8', address!)).toBe('/replay/0a1.jpg?txSecret=AbC&txTime=5efba7d0');
    expect(statusUrl(address!)).toBe('/status/live/room');
  });

  it('carries the token of a preview', () => {
    const address = parseAddress('/watch/live/room', '?preview=6b0ac');
    expect(address?.preview).toBe(true);
    expect(flvUrl(address!)).toBe('/live/room.flv?preview=6b0ac');
  });

  it('leaves a key that is given twice for the server to refuse', () => {
    expect(parseAddress('/watch/live/room', '?txTime=1&txTime=2')?.key).toBe('?txTime=1&txTime=2');
  });

  it('tolerates a trailing slash', () => {
    expect(parseAddress('/watch/live/room/', '')?.stream).toBe('room');
  });

  it.each([
    '/',
    '/watch/live',
    '/watch/live/',
    '/watch/live/a/b',
    '/watch/live/a.b',
    '/watch/live/..',
    '/watch/live/%3Cscript%3E',
    '/watch/live/开播',
    `/watch/live/${'x'.repeat(129)}`,
  ])('refuses %s', (path) => {
    expect(parseAddress(path, '')).toBeNull();
  });
});
