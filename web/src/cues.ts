/** A timed event: a product card, a coupon, an encoder's text. */
export interface Cue {
  readonly id: string;
  readonly kind: string;
  /** Whatever the business put in. */
  readonly payload: unknown;
}

/** An event whose time was just over when the page learned of it is shown all the same. */
const LATE_S = 3;
/** A longer step of the playing time is a jump: what lies between is passed over. */
const STEP_S = 2;
/** Events known at once: a replay of 12 hours has no more. */
const MOST = 5000;

/** Shows events when the picture comes to their time. */
export class Cues {
  private readonly known = new Map<string, { cue: Cue; at: number; shown: boolean }>();
  private last = 0;

  constructor(private readonly show: (cue: Cue) => void) {}

  /** An event is due at `at` seconds of the video element; told again, its time is known better. */
  learn(cue: Cue, at: number): void {
    const known = this.known.get(cue.id);
    if (known !== undefined) {
      known.at = at;
      return;
    }
    if (!Number.isFinite(at) || this.known.size >= MOST) return;
    const entry = { cue, at, shown: false };
    this.known.set(cue.id, entry);
    if (at <= this.last && this.last - at < LATE_S) this.tell(entry);
  }

  /** The picture is at `time`. */
  look(time: number): void {
    const step = time - this.last;
    if (step === 0) return;
    if (step > 0 && step < STEP_S) {
      const due = [...this.known.values()].filter(({ at }) => at > this.last && at <= time);
      due.sort((one, other) => one.at - other.at).forEach((entry) => this.tell(entry));
    } else if (step < 0) {
      // Seen again, it is told again.
      for (const entry of this.known.values()) if (entry.at > time) entry.shown = false;
    }
    this.last = time;
  }

  /** Another player, whose time is another. */
  forget(): void {
    this.known.clear();
    this.last = 0;
  }

  private tell(entry: { cue: Cue; shown: boolean }): void {
    if (entry.shown) return;
    entry.shown = true;
    this.show(entry.cue);
  }
}

/** What there is to read in an event, for people; null where it is for machines. */
export function readable({ payload }: Cue): string | null {
  if (typeof payload === 'string') return payload;
  if (typeof payload !== 'object' || payload === null) return null;
  const fields = payload as Record<string, unknown>;
  const texts = ['title', 'name', 'text', 'message', 'price'].map((name) => fields[name]);
  const found = texts.filter((text) => typeof text === 'string' || typeof text === 'number');
  return found.length > 0 ? found.join(' · ') : null;
}
