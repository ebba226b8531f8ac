import { readable, type Cue } from './cues';
import type { Problem } from './playback';
import type { PlayerKind, Route } from './players/player';
import { secondsLeft, type Phase, type Room } from './room';
import { clock, eventName, rate, say, type Language, type TextKey } from './text';

/** Everything the page shows, at one moment. */
export interface Scene {
  readonly language: Language;
  readonly room: Room;
  readonly badAddress: boolean;
  readonly route: Route;
  readonly flvPossible: boolean;
  readonly kind: PlayerKind | null;
  readonly hasPicture: boolean;
  readonly waitsForViewer: boolean;
  readonly problem: Problem;
  /** Address of a picture to be shown until there is one. */
  readonly poster: string | null;
  readonly protocol: string | null;
  readonly delay: number | null;
  readonly bitrate: number | null;
  readonly now: number;
}

export interface Wishes {
  route(route: Route): void;
  language(language: Language): void;
  resume(): void;
}

/** How long a timed event stays on the picture. */
const TOLD_MS = 8000;

const TONES: Partial<Record<Phase, string>> = { live: 'live', interrupted: 'away', paused: 'away' };

/** The elements of the page: shows a scene and passes on what the viewer wishes. */
export class View {
  readonly video = element('video', HTMLVideoElement);
  readonly still = element('still', HTMLCanvasElement);
  private readonly stage = element('stage', HTMLElement);
  private readonly mute = element('mute', HTMLButtonElement);
  private language: Language = 'en';
  private told: number | undefined;

  constructor(name: string, wishes: Wishes) {
    element('name', HTMLElement).textContent = name;
    document.title = name === '' ? 'Kaibo' : `${name} · Kaibo`;
    on('route-hls', () => wishes.route('hls'));
    on('route-flv', () => wishes.route('flv'));
    on('language', () => wishes.language(this.language === 'zh' ? 'en' : 'zh'));
    on('play', () => wishes.resume());
    on('unmute', () => this.toggleSound());
    on('mute', () => this.toggleSound());
    on('fullscreen', () => this.toggleFullscreen());
    this.video.addEventListener('volumechange', () => this.showSound());
    this.video.addEventListener('resize', () => this.shape());
    document.addEventListener('keydown', (event) => this.onKey(event));
  }

  show(scene: Scene): void {
    const { language, room } = scene;
    const t = (key: TextKey) => say(language, key);
    this.language = language;
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';

    const phase: TextKey = scene.badAddress ? 'bad_address' : scene.kind === 'replay' ? 'replay' : room.phase;
    const state = element('state', HTMLElement);
    state.dataset.tone = room.online ? (TONES[room.phase] ?? 'quiet') : 'away';
    put('state-text', t(phase));
    this.showCard(scene, t);
    const notice = noticeOf(scene, t);
    put('notice', notice ?? '');
    hide('notice', notice === null);

    // A recording has no live edge and one way to be played.
    const replay = scene.kind === 'replay';
    hide('routes', replay);
    hide('delay-item', replay);
    this.video.controls = replay && !scene.waitsForViewer;
    this.showPoster(scene.poster);
    hide('play', !scene.waitsForViewer);
    label('play', t(replay ? 'replay_ready' : 'play'));
    label('unmute', t('unmute'));
    this.showSound();

    for (const route of ['hls', 'flv'] as const) {
      const button = element(`route-${route}`, HTMLButtonElement);
      button.setAttribute('aria-pressed', String(scene.route === route));
      button.disabled = route === 'flv' && !scene.flvPossible;
      button.title = button.disabled ? t('no_flv') : '';
    }
    element('routes', HTMLElement).setAttribute('aria-label', t('player'));
    name('fullscreen', t('fullscreen'));
    put('language', t('language'));
    name('language', t('language_hint'));

    const buffered = scene.kind === 'flv';
    put('delay-label', t(buffered ? 'buffer_delay' : 'edge_delay'));
    element('delay-item', HTMLElement).title = t(buffered ? 'buffer_delay_hint' : 'edge_delay_hint');
    put('resolution-label', t('resolution'));
    put('bitrate-label', t('bitrate'));
    put('route-label', t('route'));
    put('delay', scene.delay === null ? '–' : `${scene.delay.toFixed(1)} s`);
    const { videoWidth, videoHeight } = this.video;
    const width = videoWidth || room.status?.width;
    const height = videoHeight || room.status?.height;
    put('resolution', width && height ? `${width} × ${height}` : '–');
    put('bitrate', scene.bitrate === null ? '–' : rate(scene.bitrate));
    put('route', scene.protocol ?? '–');

    // Read out once per change: the countdown itself would never let a screen reader finish.
    put('announcement', [t(phase), room.online ? '' : t('offline'), scene.problem ? t(scene.problem) : ''].join(' ').trim());
  }

  /** A timed event, as text whatever is in it. */
  tell(cue: Cue, language: Language): void {
    const text = readable(cue);
    if (text === null) return;
    put('event-kind', eventName(language, cue.kind));
    put('event-text', text);
    hide('event', false);
    window.clearTimeout(this.told);
    this.told = window.setTimeout(() => hide('event', true), TOLD_MS);
  }

  /** The card stands where there is no picture. */
  private showCard(scene: Scene, t: (key: TextKey) => string): void {
    const { room } = scene;
    const phase: Phase | 'bad_address' = scene.badAddress ? 'bad_address' : room.phase;
    hide('card', scene.hasPicture || !this.still.hidden || scene.kind === 'replay');
    put('card-title', t(phase));
    put('card-more', scene.problem ? t(scene.problem) : t(`${phase}_more`));
  }

  /** Loaded once: a browser would ask again whenever it is set. */
  private showPoster(poster: string | null): void {
    if (this.video.getAttribute('poster') === poster) return;
    if (poster === null) this.video.removeAttribute('poster');
    else this.video.poster = poster;
  }

  /** The stage follows the picture's shape, so that a portrait stream isn't a stripe in a wide box. */
  private shape(): void {
    const { videoWidth, videoHeight } = this.video;
    this.stage.style.setProperty('--shape', String(videoWidth > 0 ? videoWidth / videoHeight : 16 / 9));
  }

  private showSound(): void {
    const { muted } = this.video;
    this.mute.setAttribute('aria-pressed', String(muted));
    name('mute', say(this.language, muted ? 'unmute' : 'mute'));
    const playing = !this.video.paused && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    hide('unmute', !muted || !playing || this.video.controls);
  }

  private toggleSound(): void {
    this.video.muted = !this.video.muted;
  }

  private toggleFullscreen(): void {
    if (document.fullscreenElement !== null) {
      void document.exitFullscreen();
    } else if ('requestFullscreen' in this.stage) {
      this.stage.requestFullscreen().catch(() => undefined);
    } else {
      // iPhones let only the video element itself fill the screen.
      (this.video as HTMLVideoElement & { webkitEnterFullscreen?: () => void }).webkitEnterFullscreen?.();
    }
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === 'm') this.toggleSound();
    else if (event.key === 'f') this.toggleFullscreen();
  }
}

/** A line over the picture, for what doesn't take the picture away. */
function noticeOf(scene: Scene, t: (key: TextKey) => string): string | null {
  const { room } = scene;
  if (!room.online) return t('offline');
  if (scene.problem && scene.hasPicture) return t(scene.problem);
  if (room.phase !== 'interrupted') return null;
  const left = secondsLeft(room, scene.now);
  return left === null ? t('away_soon') : t('away').replace('{time}', clock(left));
}

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return found;
}

function on(id: string, act: () => void): void {
  element(id, HTMLButtonElement).addEventListener('click', act);
}

/** Writes only what changed: a live region would otherwise be read again. */
function put(id: string, text: string): void {
  const target = element(id, HTMLElement);
  if (target.textContent !== text) target.textContent = text;
}

function hide(id: string, hidden: boolean): void {
  element(id, HTMLElement).hidden = hidden;
}

/** The text of a button that also has a picture. */
function label(id: string, text: string): void {
  const span = element(id, HTMLButtonElement).querySelector('span');
  if (span !== null && span.textContent !== text) span.textContent = text;
}

/** The spoken name of a button that has no text. */
function name(id: string, text: string): void {
  const button = element(id, HTMLButtonElement);
  button.setAttribute('aria-label', text);
  button.title = text;
}
