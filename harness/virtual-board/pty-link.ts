/**
 * A board behind a pseudo-terminal of this machine, which `serialport` opens like any port. The terminal is a child
 * process, socat: packages that make one corrupt or compete for the bytes. A pseudo-terminal carries no lines and
 * no baud rate, and is not paced; the board paces itself.
 *
 * socat waits until the terminal is opened, and ends when it is closed; another one then takes its place under the
 * same name, so that what is printed in between is lost, as on a real port.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { lstatSync, unlinkSync } from 'node:fs';
import { portName } from './memory-ports.ts';
import type { Attachment, VirtualBoard } from './virtual-board.ts';

export type PtyErrorCode = 'PTY_SOCAT_MISSING' | 'PTY_FAILED';

/** A pseudo-terminal that could not be had. The codes are listed in `harness/README.md`. */
export class PtyError extends Error {
  override readonly name = 'PtyError';
  readonly code: PtyErrorCode;
  /** What to try next. */
  readonly hint: string;

  constructor(code: PtyErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}

export interface PtyLinkOptions {
  readonly board: VirtualBoard;
  /** Where the port appears: a symbolic link. A port that returns under another name (R05) is at `path.1`, then `path.2`. */
  readonly path: string;
  /** Whenever the port can be opened, also again. MUST NOT throw. */
  onReady?(path: string): void;
}

/** What a terminal whose reader is slow may hold back before what is printed is lost. */
const backlogMaximumBytes = 64 * 1024;

export class PtyLink {
  readonly #options: PtyLinkOptions;
  #terminal: Terminal | undefined;
  #attachment: Attachment | undefined;
  #closed = false;
  /** One terminal is gone before the next one takes its name. */
  #last: Promise<void> = Promise.resolve();

  private constructor(options: PtyLinkOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the port can be opened. A board without power has none until it is switched on.
   *
   * @throws {PtyError} `PTY_SOCAT_MISSING`, `PTY_FAILED`
   */
  static async start(options: PtyLinkOptions): Promise<PtyLink> {
    const link = new PtyLink(options);
    const { board } = options;
    board.onPort((present) => {
      if (link.#closed) return;
      if (present) link.#offerAgain();
      else void link.#withdraw();
    });
    if (board.portPresent) await link.#offer();
    return link;
  }

  /** Under which name the port can be opened, when there is one. */
  get path(): string {
    return portName(this.#options.path, this.#options.board);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#withdraw();
  }

  /** It could be started before, so it can be now; should it fail all the same, there is no port. */
  #offerAgain(): void {
    this.#last = this.#last.then(async () => {
      const { board } = this.#options;
      if (this.#closed || !board.portPresent || this.#terminal !== undefined) return;
      await this.#offer().catch(() => {});
    });
  }

  async #offer(): Promise<void> {
    const { board, onReady } = this.#options;
    const { path } = this;
    removeLink(path);
    let offered = false;
    const terminal = new Terminal(path, {
      onOpen: () => {
        this.#attachment = board.attach({
          onBytes: (bytes) => terminal.write(bytes),
          onGone: () => {},
        });
      },
      onBytes: (bytes) => this.#attachment?.write(bytes),
      onEnd: () => {
        if (this.#terminal !== terminal) return;
        this.#attachment?.detach();
        this.#attachment = undefined;
        this.#terminal = undefined;
        if (offered) this.#offerAgain();
      },
    });
    this.#terminal = terminal;
    await terminal.ready;
    offered = true;
    if (this.#terminal === terminal) onReady?.(path);
  }

  #withdraw(): Promise<void> {
    const terminal = this.#terminal;
    this.#terminal = undefined;
    this.#attachment?.detach();
    this.#attachment = undefined;
    // Told to end at once, and waited for behind what goes on.
    const stopped = terminal?.stop();
    this.#last = this.#last.then(() => stopped);
    return this.#last;
  }
}

interface TerminalEvents {
  onOpen(): void;
  onBytes(bytes: Uint8Array): void;
  onEnd(): void;
}

/** One socat: a terminal that is opened once. */
class Terminal {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #path: string;

  constructor(path: string, { onOpen, onBytes, onEnd }: TerminalEvents) {
    this.#path = path;
    // Its messages say when the terminal and its link exist (it closes its own end then) and when it is opened; it
    // looks for that every 5 ms.
    const child = spawn(
      'socat',
      [
        '-d',
        '-d',
        '-d',
        '-t',
        '0.01',
        '-',
        `pty,raw,echo=0,link=${path},wait-slave,pty-interval=0.005`,
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#child = child;
    child.stdin.on('error', () => {});
    child.stdout.on('data', (bytes: Buffer) => onBytes(Uint8Array.from(bytes)));
    let said = '';
    let failed: (error: Error) => void = () => {};
    let opened = false;
    this.ready = new Promise((resolve, reject) => {
      failed = reject;
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        if (opened) return;
        said += text;
        if (/PTY is [\s\S]*close\(/.test(said)) resolve();
        if (!said.includes('starting data transfer loop')) return;
        opened = true;
        onOpen();
      });
    });
    // Whoever waits for it gets the failure; nobody has to.
    this.ready.catch(() => {});
    child.on('error', (error: NodeJS.ErrnoException) => failed(startProblem(error)));
    this.#ended = new Promise((resolve) => {
      child.on('close', () => {
        failed(
          new PtyError(
            'PTY_FAILED',
            `socat could not make a pseudo-terminal at ${path}: ${lastLine(said)}.`,
            'Name a path in a folder that exists and that you may write to.',
          ),
        );
        resolve();
        onEnd();
      });
    });
  }

  write(bytes: Uint8Array): void {
    const { stdin } = this.#child;
    if (stdin?.writable && stdin.writableLength < backlogMaximumBytes) {
      stdin.write(Buffer.from(bytes));
    }
  }

  /** Takes the terminal away from whoever has it open. */
  async stop(): Promise<void> {
    this.#child.kill();
    await this.#ended;
    removeLink(this.#path);
  }
}

function startProblem(error: NodeJS.ErrnoException): PtyError {
  return error.code === 'ENOENT'
    ? new PtyError(
        'PTY_SOCAT_MISSING',
        'A pseudo-terminal is made by the program socat, which is not installed.',
        'Install socat (apt-get install socat, brew install socat), or use --rfc2217 or --socket instead.',
        error,
      )
    : new PtyError(
        'PTY_FAILED',
        `socat cannot be started: ${error.message}.`,
        'Check its installation.',
        error,
      );
}

function lastLine(text: string): string {
  return (
    text
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^.*?\] [A-Z] /, '') || 'it said nothing'
  );
}

/** A link that an earlier run has left behind. Anything else is left alone. */
function removeLink(path: string): void {
  try {
    if (lstatSync(path).isSymbolicLink()) unlinkSync(path);
  } catch {
    // There is none.
  }
}
