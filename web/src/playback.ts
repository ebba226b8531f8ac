import { Backoff } from './backoff';
import { Cues, type Cue } from './cues';
import { FrameCount } from './frames';
import { patience } from './patience';
import type { Failure, Player, PlayerKind } from './players/player';
import { prepare, type Source } from './players/start';
import type { Room } from './room';
import type { Still } from './still';

/** How often progress is looked at. */
const TICK_MS = 500;
/** A picture that has moved for so long counts as recovered: the next failure is retried quickly again. */
const RECOVERED_MS = 5000;
/** After the end, the rest of the live stream may play out for so long before the page turns to the replay. */
const DRAIN_MS = 8000;
/** … but not if it stands still. */
const DRAIN_STILL_MS = 1500;
/** A playlist that ended while the status still says live: wait for the status before asking again. */
const AFTER_END_MS = 2000;
/** A replay that stands still while it should play is loaded anew. */
const REPLAY_STALL_MS = 15_000;
/** Between attempts when another one is not likely to help (no codec, no key). */
const HOPELESS_MS = 10_000;
/** Remembered for the tests and for a bug report; older ones are dropped. */
const MAX_ERRORS = 50;

export type Problem = 'codec' | 'refused' | null;

/** Keeps one video element playing what it is told to, whatever fails underneath. */
export class Playback {
  /** How many players were replaced because they failed or stood still. */
  rebuilds = 0;
  readonly errors: string[] = [];
  /** Milliseconds from the start of the page to its first picture. */
  firstPictureMs: number | null = null;
  problem: Problem = null;
  /** The browser wants a click before it plays, or the viewer paused. */
  waitsForViewer = false;

  private source: Source | null = null;
  /** What comes once the live stream has played out. */
  private next: { source: Source | null; since: number } | null = null;
  private player: Player | null = null;
  /** Counts players, so that a late event of an old one is ignored. */
  private turn = 0;
  private retry: number | undefined;
  private failed = false;
  /** A frame of the present source is on the screen. */
  hasPicture = false;
  private lastTime = 0;
  private movedAt = 0;
  private movingSince = 0;
  private readonly frames: FrameCount;
  private readonly cues: Cues;
  private readonly backoff = new Backoff(500, 3000);

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly still: Still,
    private room: Room,
    private readonly changed: () => void,
    told: (cue: Cue) => void,
  ) {
    this.cues = new Cues(told);
    video.addEventListener('timeupdate', () => this.cues.look(video.currentTime));
    this.frames = new FrameCount(video);
    video.addEventListener('canplay', () => this.play());
    video.addEventListener('ended', () => this.onEnded());
    video.addEventListener('pause', () => this.onPause());
    video.addEventListener('playing', () => this.onPlaying());
    window.setInterval(() => this.tick(), TICK_MS);
  }

  get kind(): PlayerKind | null {
    return this.player?.kind ?? null;
  }

  get decodedFrames(): number {
    return this.frames.total;
  }

  delay(): number | null {
    return this.hasPicture ? (this.player?.delay() ?? null) : null;
  }

  bitrate(): number | null {
    return this.player?.bitrate() ?? null;
  }

  protocol(): string | null {
    return this.player?.protocol() ?? null;
  }

  /** Plays this from now on (null: nothing). A live stream that ended plays its last seconds first. */
  aim(source: Source | null, room: Room): void {
    const back = room.phase !== this.room.phase || (room.online && !this.room.online);
    this.room = room;
    if (back) {
      this.movedAt = performance.now();
      // A waiting attempt is due now: the server or the publisher has just come back.
      if (this.failed && room.online && source?.url === this.source?.url) this.rebuild();
    }
    const coming = this.next === null ? this.source : this.next.source;
    if (source?.url === coming?.url) return;
    this.next = null;
    if (room.phase === 'ended' && this.source !== null && this.source.route !== 'replay' && this.hasPicture) {
      this.next = { source, since: performance.now() };
      return;
    }
    if (source?.url !== this.source?.url) this.switchTo(source);
  }

  /** Starts the same source again at its newest point: a new broadcast began, or the viewer comes back from a pause. */
  restart(): void {
    this.backoff.reset();
    this.start();
  }

  /** The viewer wants it to play, by a click. */
  resume(): void {
    this.waitsForViewer = false;
    if (this.source?.route === 'replay') this.play();
    else this.restart();
    this.changed();
  }

  private switchTo(source: Source | null): void {
    // A viewer who saw the broadcast to its end decides when to see it again.
    const sawItLive = this.source !== null && this.source.route !== 'replay' && this.hasPicture;
    this.waitsForViewer = source?.route === 'replay' && sawItLive;
    this.source = source;
    this.next = null;
    this.problem = null;
    this.backoff.reset();
    this.start();
    if (source === null || source.route === 'replay') this.still.release();
    this.changed();
  }

  private start(): void {
    this.stop();
    const { source } = this;
    if (source === null) return;
    const turn = this.turn;
    const mine = (act: () => void) => {
      if (turn === this.turn) act();
    };
    const events = {
      failed: (failure: Failure) => mine(() => this.onFailed(failure)),
      ended: () => mine(() => this.onFailed({ kind: 'network', detail: 'the server ended the stream' })),
      cue: (cue: Cue, at: number) => mine(() => this.cues.learn(cue, at)),
      hiccup: (detail: string) => mine(() => this.note(detail)),
    };
    prepare(source).then(
      (start) =>
        mine(() => {
          this.player = start(this.video, events);
          this.play();
          this.awaitPicture(turn);
          this.changed();
        }),
      (error: unknown) => mine(() => this.onFailed({ kind: 'network', detail: `the player library: ${String(error)}` })),
    );
  }

  private stop(): void {
    this.turn += 1;
    window.clearTimeout(this.retry);
    this.still.hold(this.video);
    this.player?.destroy();
    this.player = null;
    this.cues.forget();
    this.failed = false;
    this.hasPicture = false;
    this.lastTime = this.video.currentTime;
    this.movedAt = performance.now();
    this.movingSince = this.movedAt;
  }

  private rebuild(): void {
    this.rebuilds += 1;
    if (this.source?.route === 'replay') this.source = { ...this.source, from: this.video.currentTime };
    this.start();
    this.changed();
  }

  private play(): void {
    if (this.source === null || this.waitsForViewer || !this.video.paused) return;
    this.video.play().catch((error: unknown) => {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
      if (this.video.muted) {
        this.waitsForViewer = true;
      } else {
        this.video.muted = true;
        this.play();
      }
      this.changed();
    });
  }

  private awaitPicture(turn: number): void {
    if (!('requestVideoFrameCallback' in this.video)) return;
    this.video.requestVideoFrameCallback(() => {
      if (turn === this.turn) this.onPicture();
    });
  }

  private onPicture(): void {
    this.hasPicture = true;
    this.firstPictureMs ??= performance.now();
    this.problem = null;
    this.still.release();
    this.changed();
  }

  private onPlaying(): void {
    this.waitsForViewer = false;
    // Browsers without frame callbacks (and streams without a picture) count from here.
    if (!('requestVideoFrameCallback' in this.video) || this.video.videoWidth === 0) this.onPicture();
    this.changed();
  }

  private onPause(): void {
    // Browsers pause hidden pages by themselves, and go on by themselves.
    if (document.hidden || this.video.ended || !this.hasPicture || this.failed) return;
    this.waitsForViewer = true;
    this.changed();
  }

  private onEnded(): void {
    if (this.next !== null) this.finish();
    else if (this.source !== null && this.source.route !== 'replay') {
      this.onFailed({ kind: 'network', detail: 'the playlist ended' }, AFTER_END_MS);
    }
  }

  private onFailed(failure: Failure, atLeastMs = 0): void {
    this.note(`${failure.kind}: ${failure.detail}`);
    if (this.failed || this.next !== null) return;
    this.failed = true;
    const hopeless = failure.kind === 'codec' || failure.kind === 'refused';
    if (hopeless) this.problem = failure.kind === 'codec' ? 'codec' : 'refused';
    const wait = Math.max(this.backoff.next(), hopeless ? HOPELESS_MS : atLeastMs);
    this.retry = window.setTimeout(() => this.rebuild(), wait);
    this.changed();
  }

  private note(detail: string): void {
    this.errors.push(`${(performance.now() / 1000).toFixed(1)} s ${this.kind ?? 'start'} ${detail}`);
    if (this.errors.length > MAX_ERRORS) this.errors.shift();
  }

  private finish(): void {
    if (this.next !== null) this.switchTo(this.next.source);
  }

  private tick(): void {
    const now = performance.now();
    const { video } = this;
    this.frames.look();
    if (video.currentTime !== this.lastTime) {
      this.lastTime = video.currentTime;
      this.movedAt = now;
      if (now - this.movingSince > RECOVERED_MS) this.backoff.reset();
    } else {
      this.movingSince = now;
    }
    const stillFor = now - this.movedAt;
    if (this.next !== null) {
      if (now - this.next.since > DRAIN_MS || stillFor > DRAIN_STILL_MS) this.finish();
      return;
    }
    const idle = this.player === null || this.failed || this.waitsForViewer || document.hidden;
    if (idle || video.ended) {
      this.movedAt = now;
      return;
    }
    const limit = this.source?.route === 'replay' ? REPLAY_STALL_MS : patience(this.room, this.hasPicture);
    if (stillFor > limit) {
      this.note(`stood still for ${Math.round(stillFor / 1000)} s`);
      this.rebuild();
    }
  }
}
