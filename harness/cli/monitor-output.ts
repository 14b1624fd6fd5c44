/** What `monitor` writes where: lines of the console, the story above them, and what happens to the port. */

import type { Clock } from '../clock/clock.ts';
import { wallClockTimes } from '../clock/system-clock.ts';
import {
  type Cleaning,
  type ConsoleColors,
  consoleColors,
  consoleLineData,
  documentText,
  renderConsoleLine,
  renderSessionEvent,
  renderStoryEvent,
  storyData,
} from '../report/console-text.ts';
import type { ReadLine } from '../serial/console-reader.ts';
import type { SessionEvent } from '../serial/console-session.ts';
import type { StoryEvent } from '../serial/story-event.ts';
import type { LineFilter } from './line-filter.ts';

export const timestampKinds = ['wall', 'run', 'boot', 'none'] as const;
export type TimestampKind = (typeof timestampKinds)[number];

export interface MonitorOutputOptions {
  readonly clock: Clock;
  readonly json: boolean;
  readonly timestamps: TimestampKind;
  readonly filter: LineFilter;
  readonly color: boolean;
  /** Goes over every text that is printed and logged. */
  readonly clean: Cleaning;
  /** One line to stdout. */
  readonly print: (text: string) => void;
  /** One line to the log file, which gets every line and no colors. */
  readonly log?: (text: string) => void;
}

export class MonitorOutput {
  readonly #options: MonitorOutputOptions;
  readonly #colors: ConsoleColors;
  readonly #plain = consoleColors(false);
  readonly #wallTime: (atUs: number) => string;
  #bootUs: number | undefined;

  constructor(options: MonitorOutputOptions) {
    this.#options = options;
    this.#colors = consoleColors(options.color);
    this.#wallTime = wallClockTimes(options.clock);
  }

  line(line: ReadLine): void {
    const { json, filter, clean } = this.#options;
    // The banner begins a boot; its event comes only with the cause.
    if (line.line.event?.name === 'rom') this.#bootUs = line.startUs;
    const shown = filter.shows(line);
    if (json) {
      this.#write(shown, () => consoleLineData(line, clean));
      return;
    }
    this.#write(shown, (colors) =>
      this.#stamped(line.startUs, renderConsoleLine(line, colors, clean)),
    );
  }

  story(event: StoryEvent): void {
    if (event.type === 'reset') this.#bootUs = event.atUs;
    const { json, clean } = this.#options;
    if (json) this.#write(true, () => storyData(event, clean));
    else this.#notes((colors) => renderStoryEvent(event, colors, clean));
  }

  session(event: SessionEvent): void {
    const { json, clean } = this.#options;
    if (json) this.#write(true, () => storyData(event, clean));
    else this.#notes((colors) => [renderSessionEvent(event, colors, clean)]);
  }

  /** The frames of a backtrace with their lines of code. */
  decoded(atUs: number, frames: readonly string[]): void {
    const { json, clean } = this.#options;
    if (json) this.#write(true, () => documentText({ type: 'decoded', atUs, frames }, clean));
    else this.#notes((colors) => frames.map((frame) => colors.magenta(`   ${clean(frame)}`)));
  }

  #notes(render: (colors: ConsoleColors) => string[]): void {
    const { print, log } = this.#options;
    for (const text of render(this.#colors)) print(text);
    if (log !== undefined) for (const text of render(this.#plain)) log(text);
  }

  #write(shown: boolean, render: (colors: ConsoleColors) => string): void {
    const { print, log } = this.#options;
    if (shown) print(render(this.#colors));
    log?.(render(this.#plain));
  }

  #stamped(atUs: number, text: string): string {
    switch (this.#options.timestamps) {
      case 'none':
        return text;
      case 'wall':
        return `${this.#wallTime(atUs)}  ${text}`;
      case 'run':
        return `${seconds(atUs)}  ${text}`;
      case 'boot':
        return `${this.#bootUs === undefined ? '—'.padStart(9) : seconds(atUs - this.#bootUs)}  ${text}`;
    }
  }
}

function seconds(us: number): string {
  return (us / 1_000_000).toFixed(3).padStart(9);
}
