import type { Report } from './room';
import { parseStatus } from './status';

/** Between polls while the event stream is away. */
const POLL_MS = 2000;
/** The first attempts after a failure come faster: a restarted server is back within a second or two. */
const FIRST_RETRY_MS = 1000;
/** An event stream that says nothing for so long is checked by a poll: a half-open connection never reports an error. */
const SILENCE_MS = 15_000;
/** An answer that takes longer counts as none. */
const ANSWER_MS = 5000;

/** Follows `/status/APP/STREAM`: as server-sent events where they come through, else by polling; never gives up. */
export class StatusFeed {
  private events: EventSource | null = null;
  private timer: number | undefined;
  private failures = 0;

  constructor(
    private readonly url: string,
    private readonly report: (report: Report) => void,
  ) {}

  start(): void {
    this.listen();
  }

  /** Asks now, without waiting for the next turn. */
  refresh(): void {
    void this.poll();
  }

  private listen(): void {
    const events = new EventSource(this.url);
    this.events = events;
    this.wait(SILENCE_MS);
    events.onmessage = ({ data }: MessageEvent<string>) => {
      this.failures = 0;
      this.wait(SILENCE_MS);
      this.read(data);
    };
    events.onerror = () => {
      // Our own turn decides when to come back, and a poll says why the stream ended.
      this.hangUp();
      void this.poll();
    };
  }

  private hangUp(): void {
    this.events?.close();
    this.events = null;
  }

  private wait(ms: number): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.turn(), ms);
  }

  private turn(): void {
    if (this.events === null) this.listen();
    else void this.poll();
  }

  private async poll(): Promise<void> {
    this.wait(ANSWER_MS + POLL_MS);
    const limit = new AbortController();
    const timeout = window.setTimeout(() => limit.abort(), ANSWER_MS);
    try {
      const answer = await fetch(this.url, {
        headers: { Accept: 'application/json' },
        cache: 'no-store',
        signal: limit.signal,
      });
      // "Not started" comes as a 404 with a status document, so the body is read whatever the code.
      const body = await answer.text();
      this.failures = 0;
      if (!this.read(body)) this.report({ kind: 'refused', code: answer.ok ? 502 : answer.status });
    } catch {
      this.failures += 1;
      this.hangUp();
      this.report({ kind: 'unreachable' });
    } finally {
      window.clearTimeout(timeout);
    }
    this.wait(this.events !== null ? SILENCE_MS : this.failures > 0 && this.failures < 5 ? FIRST_RETRY_MS : POLL_MS);
  }

  private read(body: string): boolean {
    let document: unknown;
    try {
      document = JSON.parse(body);
    } catch {
      return false;
    }
    const status = parseStatus(document, Date.now());
    if (status !== null) this.report({ kind: 'status', status });
    return status !== null;
  }
}
