import { expect, it } from 'vitest';
import { Backoff } from './backoff';

it('doubles from the first wait and stays at the longest', () => {
  const backoff = new Backoff(500, 3000, () => 1);
  expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([500, 1000, 2000, 3000, 3000]);
});

it('starts over after a success', () => {
  const backoff = new Backoff(500, 3000, () => 1);
  backoff.next();
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(500);
});

it('spreads viewers over a fifth of the wait', () => {
  expect(new Backoff(1000, 3000, () => 0).next()).toBe(800);
  expect(new Backoff(1000, 3000, () => 0.5).next()).toBe(900);
});

it('survives any number of failures', () => {
  const backoff = new Backoff(500, 3000, () => 1);
  for (let i = 0; i < 5000; i += 1) backoff.next();
  expect(backoff.next()).toBe(3000);
});
