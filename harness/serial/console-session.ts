/**
 * A board's console over hours: it opens the port, reads, and when the port vanishes waits for the same board to
 * return, under whatever name (pitfalls catalogue, R05).
 */
import type { Clock } from '../clock/clock.ts';
import { BoardError } from './board-error.ts';
import type { BoardPort } from './board-port.ts';
import { ConsoleReader, type ConsoleReaderOptions } from './console-reader.ts';

/** How often it looks for a board that is away: well within 500 ms of its return. */
const lookAgainUs = 100_000;

type SessionFact =
  | { readonly type: 'opened'; readonly address: string; readonly carriesLines: boolean }
  | { readonly type: 'gone'; readonly address: string; readonly problem: string }
  /** It is there, and cannot be opened; told once for each problem. */
  | { readonly type: 'closed-to-us'; readonly address: string; readonly problem: string }
  | { readonly type: 'returned'; readonly address: string; readonly awayUs: number };

/** What a session tells beside lines and story. */
export type SessionEvent = SessionFact & { readonly atUs: number };

export interface ConsoleSessionOptions
  extends Omit<ConsoleReaderOptions, 'clock' | 'onLine' | 'onStory' | 'onRaw'>,
    Pick<ConsoleReaderOptions, 'onLine' | 'onStory' | 'onRaw'> {
  readonly clock: Clock;
  /** Where the board is at the beginning. */
  readonly address: string;
  /** Opens a port. It is closed by the session. */
  readonly open: (address: string) => Promise<BoardPort>;
  /** Where the same board is now; null while it is not to be seen. Asked while it is away. */
  readonly locate: () => string | null | Promise<string | null>;
  /** The MAC that it must show: another one ends the session. */
  readonly expectedMac?: string;
  readonly onSession: (event: SessionEvent) => void;
  /** Takes a port that was just opened and hands on its console text: a protocol that shares the line with it. */
  readonly share?: (port: BoardPort, on: PortListeners) => SharedPort;
}

/** What a session wants to know of a port. */
export interface PortListeners {
  text(bytes: Uint8Array, atUs: number): void;
  gone(problem: Error): void;
}

/** Whoever shares the line; called before the port is closed. */
export interface SharedPort {
  stop(): Promise<void>;
}

export class ConsoleSession {
  readonly reader: ConsoleReader;
  readonly #options: ConsoleSessionOptions;
  readonly #clock: Clock;
  #port: BoardPort | undefined;
  #sharing: SharedPort | undefined;
  #mismatch: BoardError | undefined;
  #wake: (() => void) | undefined;
  #gone: Error | undefined;

  constructor(options: ConsoleSessionOptions) {
    const { onStory, expectedMac } = options;
    this.#options = options;
    this.#clock = options.clock;
    this.reader = new ConsoleReader({
      ...options,
      onStory: (event) => {
        onStory(event);
        const mac = event.type === 'identity' ? event.identity.mac : undefined;
        if (mac === undefined || expectedMac === undefined || mac === expectedMac) return;
        this.#mismatch ??= new BoardError(
          'BOARD_MISMATCH',
          `Another board answers: it has MAC ${mac}, and ${expectedMac} was expected.`,
          'echokit-harness boards --probe tells which board is where; correct boards.toml if it was replaced',
        );
        this.#wake?.();
      },
    });
  }

  /** The open port; undefined while the board is away. */
  get port(): BoardPort | undefined {
    return this.#port;
  }

  /** @throws what `open` throws */
  async start(): Promise<void> {
    await this.#open(this.#options.address);
    const { carriesLines, address } = this.#port!;
    this.#tell({ type: 'opened', address, carriesLines });
  }

  /**
   * Reads until the signal aborts. Without {@link start} before it opens the port itself.
   *
   * @throws {BoardError} `BOARD_MISMATCH`
   */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wake?.();
    signal.addEventListener('abort', stop);
    try {
      if (this.#port === undefined) await this.start();
      for (;;) {
        if (this.#mismatch !== undefined) throw this.#mismatch;
        if (signal.aborted) return;
        if (this.#gone !== undefined) await this.#return(signal);
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Releases the port and tells what was half told. */
  async close(): Promise<void> {
    const port = this.#port;
    const sharing = this.#sharing;
    // Until it has said its last word, what the port says is still read.
    await sharing?.stop();
    this.#port = undefined;
    await port?.close();
    this.reader.close();
  }

  async #open(address: string): Promise<void> {
    const port = await this.#options.open(address);
    this.#port = port;
    this.#gone = undefined;
    this.reader.opened();
    const on: PortListeners = {
      text: (bytes, atUs) => {
        if (this.#port === port) this.reader.push(bytes, atUs);
      },
      gone: (problem) => this.#lost(port, problem),
    };
    const { share } = this.#options;
    if (share !== undefined) {
      this.#sharing = share(port, on);
      return;
    }
    port.onBytes(on.text);
    port.onGone(on.gone);
  }

  #lost(port: BoardPort, problem: Error): void {
    if (this.#port !== port) return;
    this.#port = undefined;
    this.#sharing = undefined;
    this.#gone = problem;
    this.reader.interrupted();
    this.#tell({
      type: 'gone',
      address: port.address,
      problem: this.reader.redact(problem.message),
    });
    // What the system holds for a port that is gone is released, too.
    port.close().catch(() => {});
    this.#wake?.();
  }

  async #return(signal: AbortSignal): Promise<void> {
    const sinceUs = this.#clock.nowUs();
    let told: string | undefined;
    for (;;) {
      // Also before the first try: a port that opens and is gone at once must not be tried without end.
      await this.#clock.sleep(lookAgainUs, signal).catch(() => {});
      if (signal.aborted) return;
      const address = await this.#options.locate();
      if (address !== null) {
        try {
          await this.#open(address);
          this.#tell({ type: 'returned', address, awayUs: this.#clock.nowUs() - sinceUs });
          return;
        } catch (error) {
          // Just plugged in, it is often busy or not yet permitted for a moment.
          const problem = this.reader.redact((error as Error).message);
          if (problem !== told) this.#tell({ type: 'closed-to-us', address, problem });
          told = problem;
        }
      }
    }
  }

  #tell(fact: SessionFact): void {
    this.#options.onSession({ atUs: this.#clock.nowUs(), ...fact });
  }
}
