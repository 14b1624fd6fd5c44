/** Which board is behind a port: it is reset, and its boot log read. */
import type { Clock } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';
import { ConsoleReader } from './console-reader.ts';
import type { BoardIdentity, StoryEvent } from './story-event.ts';

/** The MAC comes with the start of Wi-Fi, about two seconds after the reset. */
const limitUs = 12_000_000;

export interface BoardProbe {
  readonly identity: BoardIdentity;
  /** What else the console told: download mode, a crash, silence. */
  readonly story: readonly StoryEvent[];
  /** Both MAC and version were printed. */
  readonly complete: boolean;
}

export interface BoardProbeOptions {
  readonly port: BoardPort;
  readonly clock: Clock;
  readonly baud: number | null;
  /** Restarts the board, **which ends whatever it was doing**. */
  readonly reset: (port: BoardPort) => Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Resolves when the board has said who it is, or after 12 s. The port stays open and belongs to the caller.
 *
 * @throws what `reset` throws, `SERIAL_GONE`
 */
export async function probeBoard(options: BoardProbeOptions): Promise<BoardProbe> {
  const { port, clock, baud, reset, signal } = options;
  const story: StoryEvent[] = [];
  const over = new AbortController();
  signal?.addEventListener('abort', () => over.abort());
  let gone: Error | undefined;
  const reader: ConsoleReader = new ConsoleReader({
    clock,
    baud,
    onLine: () => {},
    onStory: (event) => {
      story.push(event);
      const { mac, version } = reader.identity;
      const known = mac !== undefined && version !== undefined;
      if (known || event.type === 'download-mode') over.abort();
    },
  });
  port.onBytes((bytes, atUs) => reader.push(bytes, atUs));
  port.onGone((problem) => {
    gone = problem;
    over.abort();
  });
  try {
    reader.opened();
    reader.resetRequested();
    await reset(port);
    await clock.sleep(limitUs, over.signal).catch(() => {});
    if (gone !== undefined) throw gone;
    const { mac, version } = reader.identity;
    const complete = mac !== undefined && version !== undefined;
    return { identity: reader.identity, story, complete };
  } finally {
    reader.close();
  }
}
