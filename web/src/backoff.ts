/** Waiting times between attempts: doubled from `first` to `longest`, spread so that viewers don't return in step. */
export class Backoff {
  private failures = 0;

  constructor(
    private readonly firstMs: number,
    private readonly longestMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** How long to wait before the next attempt, in milliseconds: 80 to 100 % of the nominal time. */
  next(): number {
    // 2^16 times the first wait is past any longest one; the bound keeps the product finite.
    const nominal = Math.min(this.longestMs, this.firstMs * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    return Math.round(nominal * (0.8 + 0.2 * this.random()));
  }

  /** After a success the next failure waits the first time again. */
  reset(): void {
    this.failures = 0;
  }
}
