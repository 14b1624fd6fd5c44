import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { machine, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { SystemClock } from '../../../harness/clock/system-clock.ts';
import type { SerialLinkEvent, SerialLinkSettings } from '../endpoint.ts';
import { serialLinkCapabilities } from '../link-frame.ts';
import {
  decodeSerialLinkMessage,
  encodeSerialLinkMessage,
  type SerialLinkMessage,
  serialLinkMessageRules,
} from '../message.ts';
import type { LinkEnd } from '../noise.contract.ts';
import { bytesOf, hexOf } from '../serial-link-vectors.contract.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));

const strict = ['-std=c99', '-Wall', '-Wextra', '-Werror', '-pedantic', '-O1', '-g'];
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

interface Built {
  /** How to start it: a program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  readonly folder: string;
}
const built = new Map<string, Built>();

const compileLimitMs = 120_000;
/** A program that is given no input is over in milliseconds. */
const startLimitMs = 20_000;
const endLimitUs = 10_000_000;

/**
 * The C reference with one of its programs, compiled once for all tests of a file with all warnings and, where compiler
 * and system have them, sanitizers. Null, with the reason in the log, when there is no C compiler; then the test is
 * over.
 */
export function buildC(t: ExecutionContext, program: 'lockstep' | 'peer'): Built | null {
  const before = built.get(program);
  if (before !== undefined) return before;
  const compiler = ['cc', 'gcc', 'clang'].find((name) => runs([name, '--version'], startLimitMs));
  if (compiler === undefined) {
    t.log(
      'skipped: there is no C compiler (cc, gcc or clang); Debian: apt-get install gcc libc6-dev',
    );
    t.pass();
    return null;
  }
  const into = mkdtempSync(join(tmpdir(), 'serial-link-'));
  const path = join(into, program);
  const sources = ['serial-link.c', `${program}.c`].map((file) => join(folder, file));
  const command = startedAs(path);
  const sanitized =
    runs([compiler, ...strict, ...sanitizers, ...sources, '-o', path], compileLimitMs) &&
    runs(command, startLimitMs);
  if (!sanitized) {
    execFileSync(compiler, [...strict, ...sources, '-o', path], {
      stdio: 'inherit',
      timeout: compileLimitMs,
    });
    t.log(`${compiler} or this system cannot do address and UB sanitizers: tested without`);
  }
  const now = { command, folder: into };
  built.set(program, now);
  return now;
}

/**
 * Without random addresses, where that can be had: with as many random bits as newer kernels give
 * (`vm.mmap_rnd_bits = 32`), the memory map of the address sanitizer of gcc 12 may not fit, and the
 * program then fails for ever before it has begun.
 */
function startedAs(path: string): Built['command'] {
  const fixed = ['setarch', machine(), '-R'] as const;
  return runs([...fixed, 'true'], startLimitMs) ? [...fixed, path] : [path];
}

/** To be called when the tests of a file are over. */
export function removeBuilds(): void {
  for (const { folder: into } of built.values()) rmSync(into, { recursive: true, force: true });
  built.clear();
}

/** Whether it ends well in time, with no input; it is killed when it does not. */
function runs([program, ...args]: readonly [string, ...string[]], timeout: number): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore', timeout, killSignal: 'SIGKILL' });
    return true;
  } catch {
    return false;
  }
}

/** What a command was answered with. */
export interface LockstepAnswer {
  readonly out: string[];
  /** In the words of the vectors; neighbouring texts are one. */
  readonly events: string[];
  readonly value: string | null;
  readonly result: number;
  readonly deadlineUs: number;
  readonly number: number;
}

/**
 * `lockstep.c` in a process of its own, asked and answered without leaving the call, so that a
 * simulation in virtual time can have it as one of its ends. This process stands still until the answer is there, so
 * the program ends itself when it takes too long.
 */
export class Lockstep {
  readonly #write: number;
  readonly #read: number;
  readonly #buffer = Buffer.alloc(1 << 16);
  #pending = '';

  constructor(t: ExecutionContext, [program, ...args]: Built['command']) {
    const into = mkdtempSync(join(tmpdir(), 'serial-link-'));
    const [up, down] = [openFifo(join(into, 'up')), openFifo(join(into, 'down'))];
    const child = spawn(program, args, { stdio: [up.read, down.write, 'inherit'] });
    closeSync(up.read);
    closeSync(down.write);
    this.#write = up.write;
    this.#read = down.read;
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    t.teardown(async () => {
      closeSync(this.#write);
      const limit = new SystemClock().after(endLimitUs, () => child.kill('SIGKILL'));
      const status = await ended;
      limit.cancel();
      closeSync(this.#read);
      rmSync(into, { recursive: true, force: true });
      // A sanitizer that has found something ends the program with another status.
      if (status !== 0) throw new Error(`lockstep ended with ${status}.`);
    });
  }

  ask(...words: readonly (string | number)[]): LockstepAnswer {
    writeAll(this.#write, `${words.join(' ')}\n`);
    const out: string[] = [];
    const events: string[] = [];
    let value: string | null = null;
    for (;;) {
      const line = this.#line();
      const space = line.indexOf(' ');
      const rest = line.slice(space + 1);
      switch (line.slice(0, space)) {
        case 'out':
          out.push(rest);
          break;
        case 'event':
          if (rest.startsWith('text ') && events.at(-1)?.startsWith('text ')) {
            events[events.length - 1] += rest.slice(5);
          } else events.push(rest);
          break;
        case '=':
          value = rest;
          break;
        default: {
          const [result, deadline, number] = rest.split(' ');
          const deadlineUs = deadline === 'never' ? Number.POSITIVE_INFINITY : Number(deadline);
          return { out, events, value, result: Number(result), deadlineUs, number: Number(number) };
        }
      }
    }
  }

  #line(): string {
    for (;;) {
      const end = this.#pending.indexOf('\n');
      if (end !== -1) {
        const line = this.#pending.slice(0, end);
        this.#pending = this.#pending.slice(end + 1);
        return line;
      }
      const length = readSync(this.#read, this.#buffer);
      if (length === 0)
        throw new Error('lockstep has ended: what it found stands above, or it took too long.');
      this.#pending += this.#buffer.toString('latin1', 0, length);
    }
  }
}

/** Both ends of a pipe with a name, each blocking; whoever reads sees the end when all writers are gone. */
function openFifo(path: string): { readonly read: number; readonly write: number } {
  execFileSync('mkfifo', [path]);
  const opener = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const write = openSync(path, constants.O_WRONLY);
  const read = openSync(path, constants.O_RDONLY);
  closeSync(opener);
  return { read, write };
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

export const hexWord = (bytes: Uint8Array): string => (bytes.length === 0 ? '-' : hexOf(bytes));

/** The command that makes an end with these settings. */
export function newEnd(
  settings: Partial<SerialLinkSettings> & { readonly role: 'host' | 'board' },
  session: number,
  slots = 127,
): (string | number)[] {
  const bits = (settings.capabilities ?? []).map((c) => 1 << serialLinkCapabilities.indexOf(c));
  return [
    'new',
    settings.role === 'board' ? 1 : 0,
    session,
    settings.bytesPerSecond ?? 11_520,
    settings.frameMaximumBytes ?? 360,
    settings.window ?? 8,
    settings.messageMaximumBytes ?? 131_072,
    settings.room ?? 0xffff_ffff,
    settings.passive ? 1 : 0,
    bits.reduce((all, bit) => all | bit, 0),
    slots,
  ];
}

/** The C reference as one end of a simulation. */
export class CEnd implements LinkEnd {
  readonly #program: Lockstep;
  readonly #settings: SerialLinkSettings;
  #deadlineUs = Number.POSITIVE_INFINITY;

  constructor(program: Lockstep, settings: SerialLinkSettings) {
    this.#program = program;
    this.#settings = settings;
    this.#ask(...newEnd(settings, settings.newSession()));
  }

  get statistics(): LinkEnd['statistics'] {
    const [, , framesSent, framesRepeated] = this.#program.ask('counts').value!.split(' ');
    return { framesSent: Number(framesSent), framesRepeated: Number(framesRepeated) };
  }

  start(nowUs: number): void {
    this.#ask('start', nowUs);
  }

  receive(bytes: Uint8Array, nowUs: number): void {
    this.#ask('receive', nowUs, hexWord(bytes));
  }

  due(nowUs: number): void {
    this.#ask('due', nowUs);
  }

  textWritten(bytes: number, nowUs: number): void {
    this.#ask('written', nowUs, bytes);
  }

  nextDeadlineUs(): number {
    return this.#deadlineUs;
  }

  send(
    message: SerialLinkMessage,
    nowUs: number,
    options: { readonly loose?: boolean } = {},
  ): number {
    const payload = hexWord(encodeSerialLinkMessage(message));
    const command = options.loose ? 'loose' : 'send';
    return this.#ask(command, nowUs, serialLinkMessageRules[message.type].code, payload);
  }

  #ask(...words: readonly (string | number)[]): number {
    const answer = this.#program.ask(...words);
    if (answer.result !== 0) throw new Error(`${words[0]}: the C end says ${answer.result}.`);
    this.#deadlineUs = answer.deadlineUs;
    for (const hex of answer.out) this.#settings.output(bytesOf(hex));
    for (const words of answer.events) this.#tell(words.split(' '));
    return answer.number;
  }

  #tell([kind, ...rest]: readonly string[]): void {
    const { onEvent, role } = this.#settings;
    switch (kind) {
      case 'message':
      case 'loose': {
        const from = role === 'host' ? 'board' : 'host';
        const result = decodeSerialLinkMessage(Number(rest[0]), bytesOf(rest[1]!), from);
        const loose = kind === 'loose';
        if (result.ok) onEvent({ kind: 'message', message: result.message, loose });
        else onEvent({ kind: 'invalid-message', type: Number(rest[0]), reason: result.reason });
        return;
      }
      case 'delivered':
        onEvent({ kind, number: Number(rest[0]) });
        return;
      default:
        // What the simulation asks of them is their kind.
        onEvent({ kind } as SerialLinkEvent);
    }
  }
}
