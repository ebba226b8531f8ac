import type { Player, PlayerEvents } from './player';

/** HLS by the browser itself, where it has no Media Source Extensions; `from` as for hls.js. */
export function playNative(video: HTMLVideoElement, url: string, events: PlayerEvents, from: number | null): Player {
  const live = from === null;
  const onError = () => {
    const error = video.error;
    const codec = error?.code === MediaError.MEDIA_ERR_DECODE;
    // Safari answers "source not supported" to a failed playlist request too, so that isn't taken as a codec's fault.
    events.failed({ kind: codec ? 'media' : 'network', detail: error?.message || `media error ${error?.code ?? 0}` });
  };
  video.addEventListener('error', onError);
  video.src = from === null ? url : `${url}#t=${from}`;
  video.load();
  return {
    kind: live ? 'native' : 'replay',
    delay: () => {
      const { seekable, currentTime } = video;
      return live && seekable.length > 0 ? Math.max(0, seekable.end(seekable.length - 1) - currentTime) : null;
    },
    bitrate: () => null,
    protocol: () => 'HLS',
    destroy: () => {
      video.removeEventListener('error', onError);
      video.removeAttribute('src');
      video.load();
    },
  };
}

