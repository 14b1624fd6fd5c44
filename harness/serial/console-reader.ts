/**
 * Reads the console of a board: bytes with the instants of their arrival to lines, their events and the
 * story above them. Nothing that arrives is fatal, everything odd is counted, and secrets are replaced before
 * a line is handed on.
 */

import type { ConsoleLine } from '../../firmware-protocol/console-line.ts';
import {
  type ByteCounts,
  ConsoleLineSplitter,
  type SplitLine,
} from '../../firmware-protocol/console-splitter.ts';
import type { Clock } from '../clock/clock.ts';
import { ConsoleStory, type LineOrigin } from './console-story.ts';
import type { HeapTrend } from './heap-trend.ts';
import { NoiseMeter } from './noise-meter.ts';
import { ConsoleRedaction } from './redaction.ts';
import type { BoardIdentity, BoardState, StoryEvent } from './story-event.ts';

/** A line as it is handed on: parsed, and without secrets. */
export interface ReadLine {
  readonly line: ConsoleLine;
  /** The whole line for people: no colours, no secrets. */
  readonly text: string;
  readonly origin: LineOrigin;
  /** Arrival of the first byte and of the line end, on the clock of the reader. */
  readonly startUs: number;
  readonly endUs: number;
  /** `missing`: the port was opened in the middle of the line. */
  readonly begin: 'whole' | 'missing';
  readonly end: SplitLine['end'];
}

export interface ConsoleCounts extends ByteCounts {
  /** Bytes that cannot be text. */
  readonly unprintable: number;
  /** Lines of no known form, see `LineOrigin`. */
  readonly unexpected: number;
  /** Times that the port was away. */
  readonly gaps: number;
}

export interface ConsoleReaderOptions {
  /** Deadlines of the story, and the instants of the bytes. */
  readonly clock: Clock;
  readonly onLine: (line: ReadLine) => void;
  readonly onStory: (event: StoryEvent) => void;
  /**
   * The bytes as they came, **with secrets**: not for a file or a screen. Called before the lines that they
   * end. The bytes belong to the listener.
   */
  readonly onRaw?: (bytes: Uint8Array, atUs: number) => void;
  /** What the port is set to, for the message about a wrong one; null on native USB. */
  readonly baud: number | null;
  /** Values that are replaced wherever they stand, in every spelling; those below 4 characters are ignored. */
  readonly secrets?: readonly string[];
}

export class ConsoleReader {
  readonly #options: ConsoleReaderOptions;
  readonly #splitter = new ConsoleLineSplitter();
  readonly #noise = new NoiseMeter();
  readonly #redaction: ConsoleRedaction;
  readonly #story: ConsoleStory;
  #baud: number | null;
  #unexpected = 0;
  #gaps = 0;

  constructor(options: ConsoleReaderOptions) {
    this.#options = options;
    this.#baud = options.baud;
    this.#redaction = new ConsoleRedaction(options.secrets);
    this.#story = new ConsoleStory(options.clock, options.onStory);
  }

  get counts(): ConsoleCounts {
    return {
      ...this.#splitter.counts,
      unprintable: this.#noise.unprintable,
      unexpected: this.#unexpected,
      gaps: this.#gaps,
    };
  }

  get state(): BoardState {
    return this.#story.state;
  }

  /** What the board has said of itself, over resets. */
  get identity(): BoardIdentity {
    return this.#story.identity;
  }

  heapTrend(): HeapTrend | null {
    return this.#story.heapTrend();
  }

  /** A text from elsewhere, the message of an error for example, without the secrets that are known. */
  redact(text: string): string {
    return this.#redaction.replace(text);
  }

  /** The port is open, for the first time or again. */
  opened(): void {
    this.#noise.forget();
    this.#redaction.beginMissing();
    this.#story.opened(this.#options.clock.nowUs());
  }

  /** Call it before the lines of the port are moved: the reset that follows is then no surprise. */
  resetRequested(): void {
    this.#story.resetRequested(this.#options.clock.nowUs());
  }

  /** The board shows itself elsewhere, at a server for example: a silent console is then not a silent board. */
  boardHeard(): void {
    this.#story.boardHeard(this.#options.clock.nowUs());
  }

  /** What the port is set to from now on. */
  set baud(baud: number | null) {
    this.#baud = baud;
    this.#noise.forget();
  }

  /** @param bytes as they arrived, cut anywhere; read before the call returns */
  push(bytes: Uint8Array, atUs: number): void {
    this.#options.onRaw?.(bytes, atUs);
    const noise = this.#noise.push(bytes);
    if (noise !== null) {
      this.#options.onStory({ atUs, type: 'wrong-baud', ...noise, baud: this.#baud });
    }
    this.#story.noise();
    for (const line of this.#splitter.push(bytes, atUs)) this.#read(line);
  }

  /** The port vanished: the rest of a line ends here, and what follows continues nothing. */
  interrupted(): void {
    this.#gaps++;
    this.#flush();
    this.#story.interrupted();
  }

  /** Hands on what is left and forgets all deadlines. */
  close(): void {
    this.#flush();
    this.#story.close();
  }

  #flush(): void {
    for (const line of this.#splitter.end(this.#options.clock.nowUs())) this.#read(line);
  }

  #read({ text: raw, startUs, endUs, end }: SplitLine): void {
    const { line, text } = this.#redaction.read(raw, end);
    this.#story.read({ line, startUs, endUs }, (read) => {
      const begin = read === 'joined' ? 'missing' : 'whole';
      const origin = read === 'joined' ? 'continuation' : read;
      if (origin === 'unexpected') this.#unexpected++;
      this.#options.onLine({ line, text, origin, startUs, endUs, begin, end });
    });
  }
}
