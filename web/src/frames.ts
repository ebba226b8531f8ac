/** Counts decoded frames over all the sources that a video element gets; its own counter starts over with each. */
export class FrameCount {
  private finished = 0;
  private current = 0;

  constructor(private readonly video: HTMLVideoElement) {}

  /** Looks at the element's counter; often enough that it can't start over and overtake its old value in between. */
  look(): void {
    const now = this.video.getVideoPlaybackQuality().totalVideoFrames;
    if (now < this.current) this.finished += this.current;
    this.current = now;
  }

  /** Frames decoded since the page was opened. */
  get total(): number {
    this.look();
    return this.finished + this.current;
  }
}
