/** The spectrum of a sound over time, computed for what is seen of it. */
import { PowerSpectrum } from '../../../inspection/spectrum.ts';
import { samplesPerMs } from './page-store.ts';
import { color } from './theme.ts';
import type { Stage } from './timeline-lanes.ts';

const windowSamples = 512;
/** From the loudest that speech has down to what is not heard. */
const rangeDb = 70;
const loudestDb = -22;
const rows = 96;

export class SoundPicture {
  readonly #spectrum = new PowerSpectrum(windowSamples);
  #samples: Int16Array | null = null;
  #image: { readonly key: string; readonly picture: HTMLCanvasElement } | null = null;
  readonly #drawn: () => void;
  #asked = false;

  /** @param drawn is called when there is a new one to show */
  constructor(drawn: () => void) {
    this.#drawn = drawn;
  }

  show(samples: Int16Array | null): void {
    this.#samples = samples;
    this.#image = null;
  }

  draw(stage: Stage, top: number, height: number): void {
    const samples = this.#samples;
    const { context, width, fromMs, toMs } = stage;
    if (samples === null) {
      context.fillStyle = color('muted');
      context.fillText(
        'only where the page has the sound itself; "inspect --out" draws it',
        60,
        top + height / 2,
      );
      return;
    }
    const key = [fromMs, toMs, width].join();
    if (this.#image?.key === key) {
      context.drawImage(this.#image.picture, 0, top, width, height);
      return;
    }
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      if (this.#samples !== samples) return;
      this.#image = { key, picture: this.#made(samples, stage) };
      this.#drawn();
    });
  }

  #made(samples: Int16Array, { width, fromMs, toMs }: Stage): HTMLCanvasElement {
    const columns = Math.max(1, Math.min(1200, Math.floor(width)));
    const picture = document.createElement('canvas');
    picture.width = columns;
    picture.height = rows;
    const context = picture.getContext('2d')!;
    const image = context.createImageData(columns, rows);
    const powers = new Float64Array(this.#spectrum.bins);
    for (let x = 0; x < columns; x++) {
      const middle = Math.floor((fromMs + ((x + 0.5) * (toMs - fromMs)) / columns) * samplesPerMs);
      const start = middle - windowSamples / 2;
      if (isSilent(samples, start)) continue;
      this.#spectrum.measure(samples, start, powers);
      for (let row = 0; row < rows; row++) {
        const bin = Math.round(((rows - 1 - row) / (rows - 1)) * (this.#spectrum.bins - 1));
        const db = 10 * Math.log10(powers[bin]! + 1e-14);
        const level = Math.max(0, Math.min(1, 1 + (db - loudestDb) / rangeDb));
        paint(image.data, (row * columns + x) * 4, level);
      }
    }
    context.putImageData(image, 0, 0);
    return picture;
  }
}

function isSilent(samples: Int16Array, start: number): boolean {
  for (let i = Math.max(0, start); i < Math.min(samples.length, start + windowSamples); i++) {
    if (samples[i] !== 0) return false;
  }
  return true;
}

/** From violet through red to yellow; what is not heard lets the ground through. */
function paint(pixels: Uint8ClampedArray, at: number, level: number): void {
  const channel = (center: number, spread: number): number => (255 * (level - center)) / spread;
  pixels[at] = 70 + channel(0.15, 0.6);
  pixels[at + 1] = channel(0.5, 0.55);
  pixels[at + 2] = 140 - 190 * Math.abs(level - 0.4);
  pixels[at + 3] = Math.min(255, level * 600);
}
