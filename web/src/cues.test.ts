import { expect, test } from 'vitest';
import { Cues, readable, type Cue } from './cues';

const cue = (id: string, payload: unknown = id): Cue => ({ id, kind: 'product', payload });

function cues(): { cues: Cues; shown: string[] } {
  const shown: string[] = [];
  return { cues: new Cues(({ id }) => shown.push(id)), shown };
}

test('an event is shown once, when the picture comes to it', () => {
  const { cues: events, shown } = cues();
  events.look(10);
  events.learn(cue('b'), 11.2);
  events.learn(cue('a'), 11.1);
  events.learn(cue('c'), 13);
  events.look(11);
  expect(shown).toEqual([]);
  events.look(11.5);
  events.learn(cue('a'), 11.6);
  events.look(11.8);
  expect(shown).toEqual(['a', 'b']);
  events.look(13.5);
  expect(shown).toEqual(['a', 'b', 'c']);
});

test('what is just over is shown, what is long over is not', () => {
  const { cues: events, shown } = cues();
  events.look(1);
  events.look(100);
  events.learn(cue('late'), 98);
  events.learn(cue('old'), 90);
  events.learn(cue('nowhere'), NaN);
  expect(shown).toEqual(['late']);
});

test('a jump passes over events, and a way back meets them again', () => {
  const { cues: events, shown } = cues();
  events.learn(cue('a'), 5);
  events.look(1);
  events.look(20);
  expect(shown).toEqual([]);
  events.look(4);
  events.look(5);
  events.look(4.5);
  events.look(5.5);
  expect(shown).toEqual(['a', 'a']);
});

test('only what people can read is put on the screen', () => {
  expect(readable(cue('a', 'hello'))).toBe('hello');
  expect(readable(cue('a', { name: '茶', price: 9.9, sku: 'x' }))).toBe('茶 · 9.9');
  expect(readable(cue('a', { text: '<b>bold</b>' }))).toBe('<b>bold</b>');
  for (const machine of [null, 7, true, {}, [1], { timecode: [1] }]) expect(readable(cue('a', machine))).toBeNull();
});
