/** The time axis of a conversation: drawn, sought on, zoomed, with the playhead over all of it. */
import type { Timeline } from '../page-data.ts';
import { button, element, listen, seconds } from './element.ts';
import { hasSound, readTrack } from './page-store.ts';
import { SoundPicture } from './sound-picture.ts';
import type { SoundPlayer } from './sound-player.ts';
import { onThemeChange } from './theme.ts';
import { drawLanes, lanesHeight } from './timeline-lanes.ts';

/** Nobody sees more in less. */
const shortestMs = 40;
/** A pointer that has moved so far drags, and does not click. */
const dragPixels = 4;

export class TimelineView {
  /** Holds everything. */
  readonly root: HTMLElement;
  readonly #timeline: Timeline;
  readonly #player: SoundPlayer;
  readonly #onGap: (gap: number) => void;
  readonly #canvas = element('canvas', { height: lanesHeight });
  readonly #playhead = element('div', { class: 'playhead' });
  readonly #readout = element('output', { class: 'readout' });
  readonly #axis: HTMLElement;
  readonly #picture = new SoundPicture(() => this.draw());
  #said: Int16Array | null = null;
  #heard: Int16Array | null = null;
  #fromMs = 0;
  #toMs: number;
  #width = 0;
  #moving = false;

  /** @param onGap an underrun was clicked: its index */
  constructor(timeline: Timeline, player: SoundPlayer, name: string, onGap: (gap: number) => void) {
    this.#timeline = timeline;
    this.#player = player;
    this.#onGap = onGap;
    this.#toMs = timeline.endMs;
    this.#axis = element(
      'div',
      {
        class: 'axis',
        tabindex: 0,
        role: 'slider',
        'aria-label': `Position in the conversation ${name}`,
        'aria-valuemin': 0,
        'aria-valuemax': Math.round(timeline.endMs),
        'aria-valuenow': 0,
        'aria-valuetext': '0 seconds',
        'aria-describedby': 'timeline-keys',
      },
      this.#canvas,
      this.#playhead,
    );
    this.#canvas.style.height = `${lanesHeight}px`;
    this.root = element(
      'div',
      { class: 'timeline' },
      this.#zoomButtons(),
      this.#axis,
      this.#readout,
    );
    this.#listen();
    const stop = onThemeChange(() => (this.root.isConnected ? this.draw() : stop()));
    void this.#load();
  }

  get #endMs(): number {
    return this.#timeline.endMs;
  }

  /** Draws again, with what is known by now. */
  draw(): void {
    const width = this.#axis.clientWidth;
    if (width === 0) return;
    const scale = devicePixelRatio || 1;
    const pixels = Math.round(width * scale);
    if (this.#canvas.width !== pixels || this.#width !== width) {
      this.#canvas.width = pixels;
      this.#canvas.height = Math.round(lanesHeight * scale);
      this.#width = width;
    }
    const context = this.#canvas.getContext('2d')!;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    drawLanes({ context, width, fromMs: this.#fromMs, toMs: this.#toMs }, this.#timeline, {
      said: this.#said,
      heard: this.#heard,
      picture: this.#picture,
    });
    this.#place();
  }

  /** To be called when the player starts, stops or is sent somewhere. */
  follow(): void {
    this.#place();
    if (this.#player.isPlaying && !this.#moving) {
      this.#moving = true;
      requestAnimationFrame(() => this.#move());
    }
  }

  /** The waves and the spectrum of what is listened to. */
  async showTrack(): Promise<void> {
    if (!hasSound) return;
    const { track } = this.#player;
    const samples = await readTrack(this.#timeline, track);
    if (track !== this.#player.track) return;
    this.#picture.show(samples);
    this.draw();
  }

  async #load(): Promise<void> {
    if (hasSound) {
      this.#said = await readTrack(this.#timeline, 'said');
      this.#heard = await readTrack(this.#timeline, 'heard');
      this.#picture.show(this.#heard);
    }
    this.draw();
    new ResizeObserver(() => {
      if (this.#axis.clientWidth !== this.#width) this.draw();
    }).observe(this.#axis);
  }

  #move(): void {
    this.#moving = false;
    if (!this.root.isConnected) this.#player.pause();
    if (!this.#player.isPlaying) return;
    const now = this.#player.positionMs;
    if (now > this.#toMs && this.#toMs < this.#endMs) this.#show(now, this.#toMs - this.#fromMs);
    this.follow();
  }

  /** Playhead and words for where it is. */
  #place(): void {
    const now = this.#player.positionMs;
    const share = (now - this.#fromMs) / (this.#toMs - this.#fromMs);
    this.#playhead.hidden = share < 0 || share > 1;
    this.#playhead.style.transform = `translateX(${share * this.#width}px)`;
    const words = this.#wordsAt(now);
    this.#readout.value = words;
    this.#axis.setAttribute('aria-valuenow', `${Math.round(now)}`);
    this.#axis.setAttribute('aria-valuetext', words);
  }

  #wordsAt(now: number): string {
    const { states, sentences, gaps } = this.#timeline;
    const state = states.findLast(({ atMs }) => atMs <= now)?.state;
    const gap = gaps.findIndex(({ atMs, durationMs }) => atMs <= now && now < atMs + durationMs);
    const speaking = sentences.find(
      ({ heard }) => heard !== null && heard.atMs <= now && now < heard.atMs + heard.ms,
    );
    return [
      `${seconds(now)} of ${seconds(this.#endMs)}`,
      ...(state === undefined ? [] : [state]),
      ...(speaking === undefined ? [] : [`sentence ${speaking.sentence}`]),
      ...(gap < 0 ? [] : [`underrun ${gap + 1}: ${gaps[gap]!.fault}`]),
    ].join(' · ');
  }

  #zoomButtons(): HTMLElement {
    const turns = this.#timeline.turns.filter(({ userStopMs }) => userStopMs !== null);
    const toTurn = turns.map(({ turn, startMs }, i) =>
      button(`turn ${turn}`, () =>
        this.#range(startMs - 200, turns[i + 1]?.startMs ?? this.#endMs),
      ),
    );
    return element(
      'div',
      { class: 'tools', role: 'group', 'aria-label': 'What is shown of the time axis' },
      button('all', () => this.#range(0, this.#endMs)),
      ...(toTurn.length > 1 ? toTurn.slice(0, 12) : []),
      button('+', () => this.#zoom(0.5), { 'aria-label': 'zoom in' }),
      button('−', () => this.#zoom(2), { 'aria-label': 'zoom out' }),
    );
  }

  #range(from: number, to: number): void {
    const length = Math.max(shortestMs, Math.min(this.#endMs, to - from));
    this.#fromMs = Math.max(0, Math.min(this.#endMs - length, from));
    this.#toMs = this.#fromMs + length;
    this.draw();
  }

  #zoom(factor: number, around = this.#player.positionMs): void {
    const length = Math.max(
      shortestMs,
      Math.min(this.#endMs, (this.#toMs - this.#fromMs) * factor),
    );
    const inside = around >= this.#fromMs && around <= this.#toMs;
    const middle = inside ? around : (this.#fromMs + this.#toMs) / 2;
    const share = (middle - this.#fromMs) / (this.#toMs - this.#fromMs);
    this.#range(middle - share * length, middle + (1 - share) * length);
  }

  #show(at: number, length: number): void {
    this.#range(at - length * 0.05, at + length * 0.95);
  }

  /** Sends the player there; what is shown follows. */
  async seek(ms: number): Promise<void> {
    await this.#player.seek(ms);
    if (ms < this.#fromMs || ms > this.#toMs) this.#show(ms, this.#toMs - this.#fromMs);
    this.#place();
  }

  #listen(): void {
    let from: { readonly x: number; readonly startMs: number } | null = null;
    let dragged = false;
    listen(this.#axis, {
      pointerdown: (event) => {
        if (event.button !== 0) return;
        from = { x: event.clientX, startMs: this.#fromMs };
        dragged = false;
      },
      pointermove: (event) => {
        if (from === null || event.buttons === 0) return;
        const moved = event.clientX - from.x;
        if (!dragged && Math.abs(moved) < dragPixels) return;
        if (!dragged) this.#axis.setPointerCapture(event.pointerId);
        dragged = true;
        const length = this.#toMs - this.#fromMs;
        const start = from.startMs - (moved / this.#width) * length;
        this.#range(start, start + length);
      },
      pointerup: () => {
        from = null;
      },
      pointercancel: () => {
        from = null;
      },
      click: (event) => {
        if (!dragged) this.#clicked(event);
      },
      wheel: (event) => {
        // The page scrolls, unless a key says otherwise.
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.#zoom(event.deltaY > 0 ? 1.25 : 0.8, this.#msAt(event));
      },
      keydown: (event) => this.#key(event),
    });
  }

  #msAt(event: MouseEvent): number {
    const { left, width } = this.#axis.getBoundingClientRect();
    return this.#fromMs + ((event.clientX - left) / width) * (this.#toMs - this.#fromMs);
  }

  #clicked(event: MouseEvent): void {
    const at = this.#msAt(event);
    // A finger, or a mark of two pixels.
    const near = ((this.#toMs - this.#fromMs) / this.#width) * 4;
    const gap = this.#timeline.gaps.findIndex(
      ({ atMs, durationMs }) => at >= atMs - near && at <= atMs + durationMs + near,
    );
    if (gap >= 0) this.#onGap(gap);
    void this.seek(at);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = this.#player.positionMs;
    const step = event.shiftKey ? 2000 : 250;
    const length = this.#toMs - this.#fromMs;
    const actions: Readonly<Record<string, () => void>> = {
      ' ': () => void (this.#player.isPlaying ? this.#player.pause() : this.#player.play()),
      ArrowLeft: () => void this.seek(now - step),
      ArrowDown: () => void this.seek(now - step),
      ArrowRight: () => void this.seek(now + step),
      ArrowUp: () => void this.seek(now + step),
      PageDown: () => void this.seek(now - length / 4),
      PageUp: () => void this.seek(now + length / 4),
      Home: () => void this.seek(0),
      End: () => void this.seek(this.#endMs),
      '+': () => this.#zoom(0.5),
      '-': () => this.#zoom(2),
      '0': () => this.#range(0, this.#endMs),
      n: () => this.#nextGap(now),
    };
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  #nextGap(now: number): void {
    const { gaps } = this.#timeline;
    if (gaps.length === 0) return;
    const next = gaps.findIndex(({ atMs }) => atMs > now + 1);
    const gap = Math.max(0, next);
    this.#onGap(gap);
    void this.seek(gaps[gap]!.atMs);
  }
}
