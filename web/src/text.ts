export type Language = 'zh' | 'en';

const EN = {
  connecting: 'Connecting',
  live: 'Live',
  interrupted: 'Interrupted',
  paused: 'Paused',
  ended: 'Ended',
  not_started: 'Not started yet',
  banned: 'Banned',
  expired: 'Expired',
  not_found: 'No such stream',
  denied: 'Not allowed',
  replay: 'Replay',
  connecting_more: 'One moment.',
  live_more: 'The picture is on its way.',
  interrupted_more: 'The host’s connection dropped. The stream goes on by itself as soon as it is back.',
  paused_more: 'The host is taking a break.',
  ended_more: 'This broadcast is over.',
  not_started_more: 'This page starts playing as soon as the host goes live.',
  banned_more: 'This stream was taken down.',
  expired_more: 'The planned time passed without a broadcast.',
  not_found_more: 'Check the address: nothing has been broadcast under this name.',
  denied_more: 'The link carries no valid key. Ask for a new one.',
  bad_address: 'This is not a watch page',
  bad_address_more: 'The address should look like /watch/APP/STREAM.',
  offline: 'Server not reachable, trying again',
  away: 'The host is away, waiting for up to {time}',
  away_soon: 'The host is away, waiting',
  codec: 'This browser can’t decode the stream. Try the other player or another browser.',
  refused: 'The server refuses this link: its key is missing, wrong or expired.',
  replay_ready: 'Watch the replay',
  play: 'Play',
  unmute: 'Turn sound on',
  mute: 'Turn sound off',
  fullscreen: 'Full screen',
  player: 'Player',
  no_flv: 'This browser can’t play FLV',
  edge_delay: 'Behind live edge',
  edge_delay_hint: 'Distance from the newest media in the playlist. Encoding and upload come on top.',
  buffer_delay: 'Buffered',
  buffer_delay_hint: 'Media received but not yet shown: the part of the delay that this page adds.',
  resolution: 'Resolution',
  bitrate: 'Bit rate',
  route: 'Plays as',
  language: '中文',
  language_hint: '切换到中文',
} as const;

export type TextKey = keyof typeof EN;

const ZH: Record<TextKey, string> = {
  connecting: '正在连接',
  live: '直播中',
  interrupted: '直播中断',
  paused: '直播暂停',
  ended: '直播已结束',
  not_started: '直播尚未开始',
  banned: '直播已被封禁',
  expired: '直播已过期',
  not_found: '没有这个直播',
  denied: '没有观看权限',
  replay: '回放',
  connecting_more: '请稍候。',
  live_more: '画面马上就来。',
  interrupted_more: '主播的网络断开了，恢复后会自动继续播放。',
  paused_more: '主播暂时休息，请稍候。',
  ended_more: '本场直播已经结束。',
  not_started_more: '主播开播后，本页会自动开始播放。',
  banned_more: '该直播已被下架。',
  expired_more: '计划的时间已过，直播没有进行。',
  not_found_more: '请检查地址：这个名称下没有直播。',
  denied_more: '链接没有有效的密钥，请重新获取。',
  bad_address: '这不是观看页面',
  bad_address_more: '地址应为 /watch/应用名/流名。',
  offline: '无法连接服务器，正在重试',
  away: '主播暂时离开，最多等待 {time}',
  away_soon: '主播暂时离开，请稍候',
  codec: '当前浏览器无法解码该直播，请切换播放方式或更换浏览器。',
  refused: '服务器拒绝了此链接：密钥缺失、错误或已过期。',
  replay_ready: '观看回放',
  play: '播放',
  unmute: '打开声音',
  mute: '静音',
  fullscreen: '全屏',
  player: '播放方式',
  no_flv: '当前浏览器不支持 FLV',
  edge_delay: '落后最新画面',
  edge_delay_hint: '与播放列表中最新内容的距离，不含编码和上传的时间。',
  buffer_delay: '本地缓冲',
  buffer_delay_hint: '已收到、尚未播放的内容：本页造成的那部分延迟。',
  resolution: '分辨率',
  bitrate: '码率',
  route: '当前播放',
  language: 'English',
  language_hint: 'Switch to English',
};

const TEXTS: Record<Language, Record<TextKey, string>> = { en: EN, zh: ZH };

export function say(language: Language, key: TextKey): string {
  return TEXTS[language][key];
}

/** The first of the viewer's languages that the page speaks; English otherwise. */
export function preferredLanguage(languages: readonly string[]): Language {
  for (const tag of languages) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'zh' || primary === 'en') return primary;
  }
  return 'en';
}

/** `14:05`, or `1:02:03` from an hour on. */
export function clock(seconds: number): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`;
}

export function rate(bitsPerSecond: number): string {
  return bitsPerSecond >= 1e6 ? `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
}

const EVENTS: Record<Language, Record<string, string>> = {
  en: { product: 'Product', coupon: 'Coupon', announcement: 'Announcement', notice: 'Notice' },
  zh: { product: '商品', coupon: '优惠券', announcement: '公告', notice: '通知' },
};

/** What a kind of timed event is called; nothing of one that only its business knows. */
export function eventName(language: Language, kind: string): string {
  return EVENTS[language][kind] ?? '';
}
