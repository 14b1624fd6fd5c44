/** Keys of a terminal one by one, and the terminal as it was before when it is over. */
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';

export interface KeyPress {
  /** As Node names keys; undefined for most printable characters. */
  readonly name: string | undefined;
  /** What the terminal sent. */
  readonly sequence: string;
  /** Ctrl-C, or the end of the input. */
  readonly interrupt: boolean;
}

export interface Keyboard {
  listen(onKey: (key: KeyPress) => void): void;
  write(text: string): void;
  columns(): number;
  /** Harmless when repeated. */
  close(): void;
}

const hideCursor = '\x1b[?25l';
const showCursor = '\x1b[?25h';

/** @returns undefined when there is no terminal at both ends */
export function processKeyboard(): Keyboard | undefined {
  const { stdin, stdout } = process;
  return stdin.isTTY && stdout.isTTY ? openKeyboard(stdin, stdout) : undefined;
}

function openKeyboard(input: ReadStream, output: WriteStream): Keyboard {
  let open = false;
  return {
    listen(onKey) {
      open = true;
      emitKeypressEvents(input);
      input.setRawMode(true);
      output.write(hideCursor);
      // Whatever ends the process, the terminal is usable afterwards.
      process.once('exit', () => {
        if (open) output.write(showCursor);
      });
      input.on(
        'keypress',
        (text: string | undefined, key: { name?: string; ctrl?: boolean; sequence?: string }) => {
          if (!open) return;
          const interrupt = key.ctrl === true && (key.name === 'c' || key.name === 'd');
          onKey({ name: key.name, sequence: text ?? key.sequence ?? '', interrupt });
        },
      );
      input.on('end', () => {
        if (open) onKey({ name: undefined, sequence: '', interrupt: true });
      });
      input.resume();
    },
    write: (text) => void output.write(text),
    columns: () => Math.max(40, output.columns ?? 80),
    close() {
      if (!open) return;
      open = false;
      input.setRawMode(false);
      input.pause();
      output.write(showCursor);
    },
  };
}
