/**
 * Pictures that carry the wall clock: an encoder draws the millisecond at which it made a picture into the picture, as
 * black and white blocks, and whoever shows the picture reads it back. It says nothing that the server could have said.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Blocks in a line of the picture. */
const COLUMNS = 16;
/** Bits of the clock: milliseconds modulo 2^32, 49 days. The 8 bits behind them are their check. */
const BITS = 32;
const RATE = 30;
/** The encoder's keyframe interval in seconds: what streamers set. */
const GOP_S = 2;
const SAMPLE_RATE = 44_100;

/** Four bytes of a time, and their sum inverted: a black picture is no time. */
function bytesOf(time) {
  const clock = time % 2 ** BITS;
  const bytes = [24, 16, 8, 0].map((shift) => Math.floor(clock / 2 ** shift) % 256);
  return [...bytes, ~bytes.reduce((sum, byte) => sum + byte, 0) & 255];
}

/** One picture (planar 4:2:0) of `width` by `height` that says `time`; below the clock something moves. */
export function draw(time, number, width, height) {
  const picture = Buffer.alloc((width * height * 3) / 2, 128);
  const block = width / COLUMNS;
  const bits = bytesOf(time).flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1));
  bits.forEach((bit, index) => {
    const left = (index % COLUMNS) * block;
    const top = Math.floor(index / COLUMNS) * block;
    for (let y = top; y < top + block; y += 1) picture.fill(bit ? 235 : 16, y * width + left, y * width + left + block);
  });
  for (let y = 4 * block; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) picture[y * width + x] = 40 + ((x + 2 * y + 3 * number) & 127);
  }
  return picture;
}

/** An encoder that pushes pictures of the clock with a tone: x264 without B-frames or look-ahead, 2 s GOPs. */
export class Encoder {
  #process;
  #timer;
  #number = 0;
  /** When the first picture was made. */
  began = Date.now();
  said = '';

  constructor(url, { width = 320, height = 180 } = {}) {
    const pictures = ['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${width}x${height}`, '-r', `${RATE}`, '-i', 'pipe:0'];
    const sound = ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${SAMPLE_RATE}`];
    const x264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', `${GOP_S * RATE}`, '-b:v', '600k'];
    const aac = ['-c:a', 'aac', '-b:a', '64k', '-ac', '2'];
    const mux = ['-sc_threshold', '0', '-flush_packets', '1', '-f', 'flv', url];
    const probe = ['-probesize', '32', '-analyzeduration', '0', '-fflags', 'nobuffer'];
    this.#process = spawn(
      'ffmpeg',
      ['-hide_banner', '-loglevel', 'error', ...probe, ...pictures, ...sound, ...x264, ...aac, ...mux],
      { stdio: ['pipe', 'ignore', 'pipe'] },
    );
    this.#process.stderr.on('data', (bytes) => {
      this.said = (this.said + bytes).slice(-2000);
    });
    // A killed encoder leaves a broken pipe behind.
    this.#process.stdin.on('error', () => {});
    this.#timer = setInterval(() => {
      // What is due by the clock; a late timer makes up for what it missed, as a camera's buffer does.
      while (this.began + (this.#number * 1000) / RATE <= Date.now()) {
        this.#process.stdin.write(draw(Date.now(), this.#number, width, height));
        this.#number += 1;
      }
    }, 5);
  }

  get running() {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Its machine loses power: no goodbye. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** The streamer presses stop: the broadcast ends. */
  stop() {
    return this.#end('SIGINT');
  }

  async #end(signal) {
    clearInterval(this.#timer);
    if (!this.running) return;
    this.#process.kill(signal);
    // ffmpeg looks for the signal between two pictures.
    this.#process.stdin.end();
    await once(this.#process, 'exit');
  }
}
