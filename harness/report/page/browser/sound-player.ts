/** Plays one conversation, from any point of its time axis. */
import type { Timeline, TrackName } from '../page-data.ts';
import { hasSound, readTrack, wavOf } from './page-store.ts';

/** A stretch of sound: where it is on the time axis, and in a file. Times in ms. */
interface Stretch {
  readonly url: string;
  readonly atMs: number;
  readonly fileMs: number;
  readonly ms: number;
}

/** One at a time is heard. */
let sounding: SoundPlayer | null = null;

export class SoundPlayer {
  readonly #timeline: Timeline;
  readonly #folder: string | null;
  readonly #changed: () => void;
  readonly #audio = new Audio();
  readonly #stretches = new Map<TrackName, Promise<readonly Stretch[]>>();
  #track: TrackName = 'heard';
  #current: Stretch | null = null;
  #positionMs = 0;
  #wanted = false;
  #problem: string | null = null;

  /**
   * @param folder of the recording, for a page that has no sound itself
   * @param changed is called when it starts, stops or fails; not while it plays
   */
  constructor(timeline: Timeline, folder: string | null, changed: () => void) {
    this.#timeline = timeline;
    this.#folder = folder;
    this.#changed = changed;
    this.#audio.preload = 'auto';
    for (const event of ['play', 'pause', 'error'] as const) {
      this.#audio.addEventListener(event, () => this.#told(event));
    }
    this.#audio.addEventListener('ended', () => void this.#goOn());
  }

  /** The element that sounds. */
  get audio(): HTMLAudioElement {
    return this.#audio;
  }

  get isPlaying(): boolean {
    return this.#wanted;
  }

  get track(): TrackName {
    return this.#track;
  }

  /** In words, or null. */
  get problem(): string | null {
    return this.#problem;
  }

  get positionMs(): number {
    const stretch = this.#current;
    if (stretch === null || !this.#wanted) return this.#positionMs;
    const inFile = this.#audio.currentTime * 1000 - stretch.fileMs;
    // The next stretch of the same file may be somewhere else on the time axis.
    if (inFile > stretch.ms + 1) void this.#goOn();
    else if (inFile >= 0) this.#positionMs = stretch.atMs + inFile;
    return this.#positionMs;
  }

  async play(): Promise<void> {
    if (sounding !== this) sounding?.pause();
    sounding = this;
    this.#wanted = true;
    if (this.#positionMs >= this.#timeline.endMs - 50) this.#positionMs = 0;
    this.#changed();
    await this.#start();
  }

  pause(): void {
    this.#positionMs = this.positionMs;
    this.#wanted = false;
    this.#audio.pause();
    this.#changed();
  }

  async seek(ms: number): Promise<void> {
    this.#positionMs = Math.max(0, Math.min(this.#timeline.endMs, ms));
    this.#current = null;
    this.#changed();
    if (this.#wanted) await this.#start();
  }

  async choose(track: TrackName): Promise<void> {
    this.#positionMs = this.positionMs;
    this.#track = track;
    this.#current = null;
    this.#changed();
    if (this.#wanted) await this.#start();
  }

  /** Plays what is at the position, or comes first behind it. */
  async #start(): Promise<void> {
    const track = this.#track;
    const stretches = await this.#stretchesOf(track);
    if (!this.#wanted || track !== this.#track) return;
    const position = this.#positionMs;
    const stretch = stretches.find(({ atMs, ms }) => atMs + ms > position + 1);
    if (stretch === undefined) {
      this.#problem = stretches.length === 0 ? 'There is none of this sound.' : null;
      this.pause();
      return;
    }
    this.#problem = null;
    this.#current = stretch;
    if (this.#audio.src !== stretch.url) this.#audio.src = stretch.url;
    this.#positionMs = Math.max(position, stretch.atMs);
    this.#audio.currentTime = (stretch.fileMs + this.#positionMs - stretch.atMs) / 1000;
    try {
      await this.#audio.play();
    } catch (error) {
      // Another seek came meanwhile.
      if (error instanceof DOMException && error.name === 'AbortError') return;
      this.#fail();
    }
  }

  async #goOn(): Promise<void> {
    const stretch = this.#current;
    if (!this.#wanted || stretch === null) return;
    this.#current = null;
    this.#positionMs = stretch.atMs + stretch.ms;
    await this.#start();
  }

  #stretchesOf(track: TrackName): Promise<readonly Stretch[]> {
    const known = this.#stretches.get(track);
    if (known !== undefined) return known;
    const made = hasSound ? this.#kept(track) : Promise.resolve(this.#linked(track));
    this.#stretches.set(track, made);
    return made;
  }

  async #kept(track: TrackName): Promise<readonly Stretch[]> {
    if (this.#timeline.tracks[track].clips.length === 0) return [];
    const samples = await readTrack(this.#timeline, track);
    const url = URL.createObjectURL(wavOf(samples));
    return [{ url, atMs: 0, fileMs: 0, ms: this.#timeline.endMs }];
  }

  #linked(track: TrackName): readonly Stretch[] {
    const folder = this.#folder;
    if (folder === null) return [];
    const stretches = this.#timeline.tracks[track].files.flatMap(({ file, parts }) => {
      const found: Stretch[] = [];
      const url = new URL(`${folder}/${file}`, document.baseURI).href;
      for (let i = 0; i + 2 < parts.length; i += 3) {
        found.push({ url, atMs: parts[i]!, fileMs: parts[i + 1]!, ms: parts[i + 2]! });
      }
      return found;
    });
    return stretches.sort((a, b) => a.atMs - b.atMs);
  }

  #told(event: 'play' | 'pause' | 'error'): void {
    if (event === 'error') this.#fail();
    else this.#changed();
  }

  #fail(): void {
    if (!this.#wanted) return;
    this.#problem = hasSound
      ? 'This browser does not play it.'
      : 'The file is not there, or this browser does not play it: the sound is in the folder of the recording.';
    this.pause();
  }
}
