/** A player that is a program: its pictures come down a pipe, small and grey, each as it would be shown. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { read, SMALL } from './reading.mjs';

const PICTURE = SMALL.width * SMALL.height;

const COMMANDS = {
  // `-re`: at the pace of the pictures, as a player shows them.
  ffmpeg: (url) => [
    'ffmpeg',
    '-hide_banner', '-nostdin', '-loglevel', 'warning', '-re', '-i', url,
    '-map', '0:v', '-fps_mode', 'passthrough', '-vf', `scale=${SMALL.width}:${SMALL.height}:flags=area,format=gray`, '-f', 'rawvideo', 'pipe:3',
    '-map', '0:a', '-f', 'null', '-',
  ],
  gstreamer: (url) => [
    'gst-launch-1.0',
    'playbin3', `uri=${url}`, 'audio-sink=fakesink sync=true',
    `video-sink=videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=${SMALL.width},height=${SMALL.height} ! fdsink fd=3 sync=true`,
  ],
};

export class Program {
  looks = [];
  events = [];
  #process;

  constructor({ player, url }) {
    const [command, ...options] = COMMANDS[player](url);
    this.#process = spawn(command, options, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    this.#process.on('error', (error) => this.#tell(String(error), true));
    this.#process.on('exit', (code, signal) => this.#tell(signal === null ? 'ended' : `ended by ${signal}`, code !== 0 && signal === null));
    let rest = Buffer.alloc(0);
    let frames = 0;
    this.#process.stdio[3].on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= PICTURE) {
        const picture = rest.subarray(0, PICTURE);
        frames += 1;
        this.looks.push({ at: Date.now(), frames, clock: read((x, y) => picture[y * SMALL.width + x]) });
        rest = rest.subarray(PICTURE);
      }
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        // GStreamer tells of its own states and of the time, without an end.
        for (const line of text.split('\n')) if (/error|warn|invalid|corrupt|failed|assert/i.test(line)) this.#tell(line.slice(0, 200));
      });
    }
  }

  #tell(what, fatal = /^ERROR|^\*\* ERROR/.test(what)) {
    this.events.push({ at: Date.now(), what, fatal });
  }

  async close() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exit;
  }
}
