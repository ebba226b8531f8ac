import { describe, expect, it } from 'vitest';
import { pace } from './edge';

describe('staying close to live', () => {
  it('plays at normal speed with a small buffer', () => {
    expect(pace(0.5, 1, false)).toEqual({ rate: 1, keep: null });
  });

  it('speeds up a little when behind, and until it has caught up', () => {
    expect(pace(2, 1, false).rate).toBe(1.1);
    expect(pace(1, 1.1, false).rate).toBe(1.1);
    expect(pace(0.6, 1.1, false).rate).toBe(1);
  });

  it('does not speed up for the ordinary wobble', () => {
    expect(pace(1, 1, false).rate).toBe(1);
  });

  it('jumps when far behind, and skips the burst of the join', () => {
    expect(pace(5, 1.1, false)).toEqual({ rate: 1, keep: 0.6 });
    expect(pace(2, 1, true)).toEqual({ rate: 1, keep: 0.6 });
    expect(pace(2, 1, false).keep).toBeNull();
  });
});
