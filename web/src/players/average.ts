/** A bit rate smoothed over the last few seconds of media. */
export class AverageRate {
  private bits = 0;
  private seconds = 0;

  /** Longer memory reads calmer; shorter follows a change of quality sooner. */
  constructor(private readonly memorySeconds = 8) {}

  add(bytes: number, seconds: number): void {
    if (!(seconds > 0)) return;
    this.bits += bytes * 8;
    this.seconds += seconds;
    if (this.seconds > this.memorySeconds) {
      const keep = this.memorySeconds / this.seconds;
      this.bits *= keep;
      this.seconds *= keep;
    }
  }

  get bitsPerSecond(): number | null {
    return this.seconds > 0 ? this.bits / this.seconds : null;
  }
}
