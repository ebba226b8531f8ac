/** Keeps the last picture on the screen while one player is replaced by the next, instead of a black flash. */
export class Still {
  constructor(private readonly canvas: HTMLCanvasElement) {}

  hold(video: HTMLVideoElement): void {
    const { videoWidth, videoHeight, readyState } = video;
    if (readyState < HTMLMediaElement.HAVE_CURRENT_DATA || videoWidth === 0) return;
    this.canvas.width = videoWidth;
    this.canvas.height = videoHeight;
    this.canvas.getContext('2d')?.drawImage(video, 0, 0);
    this.canvas.hidden = false;
  }

  release(): void {
    this.canvas.hidden = true;
  }
}
