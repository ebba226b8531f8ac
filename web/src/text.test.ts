import { expect, it } from 'vitest';
import { clock, preferredLanguage, rate } from './text';

it.each([
  [['zh-CN', 'en'], 'zh'],
  [['zh-Hant-TW'], 'zh'],
  [['en-GB', 'zh'], 'en'],
  [['de-DE', 'zh-CN'], 'zh'],
  [['fr'], 'en'],
  [[], 'en'],
])('speaks to a viewer with %j in %s', (languages, expected) => {
  expect(preferredLanguage(languages)).toBe(expected);
});

it('shows a countdown as a clock', () => {
  expect([0, 9, 845, 900, 3723].map(clock)).toEqual(['00:00', '00:09', '14:05', '15:00', '1:02:03']);
});

it('shows a bit rate in the unit a streamer uses', () => {
  expect(rate(320_400)).toBe('320 kbit/s');
  expect(rate(2_960_000)).toBe('3.0 Mbit/s');
});
