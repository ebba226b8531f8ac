import { describe, expect, it } from 'vitest';
import { NEW_ROOM, programme, reduce, secondsLeft, type Report, type Room } from './room';
import { parseStatus } from './status';

const NOW = Date.parse('2026-11-21T12:00:00Z');

function told(document: unknown): Report {
  const status = parseStatus(document, NOW);
  if (status === null) throw new Error('not a status');
  return { kind: 'status', status };
}

function after(...reports: Report[]): Room {
  return reports.reduce(reduce, NEW_ROOM);
}

describe('what is on the screen', () => {
  it('tries the live stream before the first answer', () => {
    expect(programme(NEW_ROOM)).toBe('live');
  });

  it.each(['live', 'interrupted', 'paused'])('shows the live stream while %s', (state) => {
    expect(programme(after(told({ state })))).toBe('live');
  });

  it.each(['created', 'preview', 'not_started', 'banned', 'expired'])('shows nothing when %s', (state) => {
    expect(programme(after(told({ state })))).toBe('nothing');
  });

  it('turns to the replay when the broadcast ends, and back when a new one starts', () => {
    const ended = told({ state: 'ended', replay: { hls: '/replay/b1.m3u8' } });
    expect(programme(after(told({ state: 'live' }), ended))).toBe('replay');
    expect(programme(after(ended, told({ state: 'live', broadcast: 'b2' })))).toBe('live');
  });

  it('has nothing to show when the broadcast ended without a replay', () => {
    expect(programme(after(told({ state: 'ended', replay: null })))).toBe('nothing');
  });
});

describe('a server that does not answer', () => {
  it('leaves the last known state in place', () => {
    const room = after(told({ state: 'live' }), { kind: 'unreachable' });
    expect(room.phase).toBe('live');
    expect(room.online).toBe(false);
    expect(programme(room)).toBe('live');
  });

  it('counts a 502 of a proxy as no answer', () => {
    expect(after(told({ state: 'interrupted' }), { kind: 'refused', code: 502 })).toMatchObject({
      phase: 'interrupted',
      online: false,
    });
  });

  it('is forgotten with the next answer', () => {
    expect(after({ kind: 'unreachable' }, told({ state: 'live' })).online).toBe(true);
  });
});

it.each([
  [404, 'not_found'],
  [403, 'denied'],
  [401, 'denied'],
  [410, 'expired'],
])('a bare %i means %s', (code, phase) => {
  expect(after(told({ state: 'live' }), { kind: 'refused', code }).phase).toBe(phase);
});

describe('the countdown', () => {
  const interrupted = { state: 'interrupted', resume_deadline: '2026-11-21T12:15:00.000Z' };

  it('runs to the resume deadline and stops at zero', () => {
    const room = after(told(interrupted));
    expect(secondsLeft(room, NOW)).toBe(900);
    expect(secondsLeft(room, NOW + 899_001)).toBe(1);
    expect(secondsLeft(room, NOW + 2_000_000)).toBe(0);
  });

  it('does not depend on the clock of the viewer when the server sends its own', () => {
    const room = after(told({ ...interrupted, now: '2026-11-21T12:10:00.000Z' }));
    expect(secondsLeft(room, NOW)).toBe(300);
  });

  it('is absent while live', () => {
    expect(secondsLeft(after(told({ state: 'live', resume_deadline: null })), NOW)).toBeNull();
  });
});

describe('a status document', () => {
  it('is read whole', () => {
    expect(
      parseStatus(
        { state: 'live', live_status: 101, width: 1280, height: 720, broadcast: 'b1', replay: null, extra: 1 },
        NOW,
      ),
    ).toEqual({
      state: 'live',
      liveStatus: 101,
      resumeDeadline: null,
      width: 1280,
      height: 720,
      replay: null,
      broadcast: 'b1',
    });
  });

  it.each([null, 'live', [], {}, { state: 'dancing' }, { status: 404, code: 'not_found' }])(
    'is not what %j is',
    (document) => {
      expect(parseStatus(document, NOW)).toBeNull();
    },
  );

  it.each(['//evil.example/x.m3u8', 'https://evil.example/x.m3u8', '/\\evil.example', ''])(
    'cannot send the player elsewhere: %s',
    (hls) => {
      expect(parseStatus({ state: 'ended', replay: { hls } }, NOW)?.replay).toBeNull();
    },
  );
});
