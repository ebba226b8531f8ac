import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BINARY = process.env.KAIBO_BIN ?? join(ROOT, 'target/debug/kaibo');
const CLIP = join(ROOT, 'assets/demo.flv');
const PUSH_KEY = 'key-of-the-browser-tests';
const API_TOKEN = 'token-of-the-browser-tests';
/** A debug build on a busy machine starts well within this. */
const START_MS = 15_000;

/** A server with its own data folder; it can be killed and started again on the same addresses. */
export class Server {
  #data;
  #settings = [];
  #process = null;
  #pushes = new Set();
  #listen = { rtmp: '127.0.0.1:0', http: '127.0.0.1:0', api: '127.0.0.1:0' };

  /** `settings`: more lines of its configuration, before the first section. */
  static async start(settings = []) {
    const server = new Server();
    server.#settings = settings;
    server.#data = await mkdtemp(join(tmpdir(), 'kaibo-browser-'));
    await server.start();
    return server;
  }

  async start() {
    const config = join(this.#data, 'config.toml');
    await writeFile(
      config,
      [
        `data_dir = "${join(this.#data, 'data')}"`,
        ...this.#settings,
        ...Object.entries(this.#listen).map(([name, address]) => `[${name}]\nlisten = "${address}"`),
        `[auth.push]\nkey = "${PUSH_KEY}"`,
        `[[api.tokens]]\nname = "tests"\ntoken = "${API_TOKEN}"`,
        '',
      ].join('\n'),
    );
    const runFile = join(this.#data, 'data/run.json');
    await rm(runFile, { force: true });
    const child = spawn(BINARY, ['serve', '-c', config], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => {
        log = (log + bytes).slice(-20_000);
      });
    }
    let startError = null;
    child.on('error', (error) => {
      startError = error;
    });
    const run = await until(START_MS, async () => {
      if (startError !== null) throw startError;
      if (child.exitCode !== null) throw new Error(`${BINARY} ended with ${child.exitCode}:\n${log}`);
      return JSON.parse(await readFile(runFile, 'utf8').catch(() => 'null'));
    });
    const { rtmp, http, api } = run;
    this.#listen = { rtmp, http, api };
  }

  /** As a crash or a power cut would end it. */
  async kill() {
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  async close() {
    await Promise.all([...this.#pushes].map((push) => push.kill()));
    const child = this.#process;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const limit = globalThis.setTimeout(() => child.kill('SIGKILL'), 5000);
      await once(child, 'exit');
      clearTimeout(limit);
    }
    await rm(this.#data, { recursive: true, force: true });
  }

  /** What a viewer asks for. */
  url(path) {
    return `http://${this.#listen.http}${path}`;
  }

  watchUrl(stream, hash = '') {
    return `http://${this.#listen.http}/watch/live/${stream}${hash}`;
  }

  /** What the control API answers; an error where it refuses. */
  async api(method, path, body) {
    const answer = await fetch(`http://${this.#listen.api}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${API_TOKEN}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }

  /** When the server said so for the first (second, …) time, in milliseconds since 1970; waits for it. */
  async told(event, stream, ms, times = 1) {
    let seen = 0;
    const patience = new AbortController();
    const limit = setTimeout(() => patience.abort(new Error(`not within ${ms} ms: ${event}`)), ms);
    try {
      const answer = await fetch(`http://${this.#listen.api}/api/v1/events`, {
        headers: { authorization: `Bearer ${API_TOKEN}`, 'last-event-id': '0' },
        signal: patience.signal,
      });
      const decoder = new TextDecoder();
      let text = '';
      for await (const bytes of answer.body) {
        const blocks = (text + decoder.decode(bytes, { stream: true })).split('\n\n');
        text = blocks.pop();
        for (const block of blocks) {
          const data = block.split('\n').find((line) => line.startsWith('data: '));
          if (data === undefined) continue;
          const told = JSON.parse(data.slice('data: '.length));
          if (told.type !== event || told.data.broadcast?.stream !== stream) continue;
          seen += 1;
          if (seen === times) return Date.parse(told.timestamp);
        }
      }
      throw new Error(`the server stopped before it told of ${event}`);
    } finally {
      clearTimeout(limit);
    }
  }

  /** Where an encoder with a signed stream key pushes to, for an hour from now. */
  pushUrl(stream) {
    const txTime = Math.floor(Date.now() / 1000 + 3600).toString(16).toUpperCase().padStart(8, '0');
    const txSecret = createHash('md5').update(PUSH_KEY + stream + txTime).digest('hex');
    return `rtmp://${this.#listen.rtmp}/live/${stream}?txSecret=${txSecret}&txTime=${txTime}`;
  }

  /** Has a timed event told to those who watch the newest broadcast of `stream`. */
  async tell(stream, event) {
    const api = `http://${this.#listen.api}/api/v1/broadcasts`;
    const headers = { authorization: `Bearer ${API_TOKEN}`, 'content-type': 'application/json' };
    const { items } = await (await fetch(`${api}?stream=${stream}`, { headers })).json();
    const answer = await fetch(`${api}/${items[0].id}/events`, { method: 'POST', headers, body: JSON.stringify(event) });
    const told = await answer.json();
    if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(told)}`);
    return told;
  }

  /** Publishes the demo clip in a loop with ffmpeg. */
  push(stream) {
    const push = new Push(this.pushUrl(stream));
    this.#pushes.add(push);
    return push;
  }
}

/** An encoder at work. */
class Push {
  #process;

  constructor(url) {
    const input = ['-re', '-stream_loop', '-1', '-i', CLIP, '-c', 'copy'];
    this.#process = spawn('ffmpeg', ['-hide_banner', '-loglevel', 'error', ...input, '-f', 'flv', url], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }

  /** The encoder crashes: no goodbye. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** The streamer presses stop: the broadcast ends. */
  stop() {
    return this.#end('SIGINT');
  }

  async #end(signal) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill(signal);
    await once(this.#process, 'exit');
  }
}

/** Asks until the answer is truthy; an error when it isn't in time. */
export async function until(ms, ask, what = ask) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(50);
  }
}
