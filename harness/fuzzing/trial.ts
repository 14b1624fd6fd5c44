/** One input against everything that must hold for any. */
import { isDeepStrictEqual } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import type { Random } from '../random/random.ts';
import { chance, length } from './draws.ts';
import {
  BrokenRule,
  type Decode,
  type FuzzTarget,
  type RuleName,
  usualMemory,
  usualTime,
} from './fuzz-target.ts';

export interface Violation {
  readonly rule: RuleName;
  /** Names the mistake apart from others against the same rule, for example the class of an error and where it came from. */
  readonly mark: string;
  readonly what: string;
}

/** How a decoding ended. */
type Outcome = { readonly account: unknown } | { readonly code: string };

interface Measured {
  readonly outcome: Outcome;
  readonly cpuUs: number;
  readonly bytes: number;
}

/** In one byte each: only inputs up to here, because each piece has a cost of its own. */
const singleBytesMax = 3000;
/** What a piece may cost beside its bytes. */
const perPieceUs = 60;
const perPieceBytes = 4096;
/** How often a cost is measured before it counts: the collector and the compiler run when they like. */
const measurements = 4;

/**
 * @param random for how the bytes are cut; the same input and the same draws give the same result
 * @returns the first rule that did not hold
 */
export async function tryInput(
  target: FuzzTarget,
  decode: Decode,
  input: Uint8Array,
  random: Random,
): Promise<Violation | undefined> {
  try {
    const whole = await decoded(target, decode, [input]);
    if (target.arrival === 'whole') return undefined;
    for (const pieces of arrivals(input, random, target.headBytes ?? 0)) {
      const other = await decoded(target, decode, pieces);
      if (isDeepStrictEqual(other, whole)) continue;
      const shown = `whole ${excerpt(whole)}; in ${pieces.length} pieces ${excerpt(other)}`;
      throw new BrokenRule('pieces-agree', shown);
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof BrokenRule)) throw error;
    return { rule: error.rule, mark: markOf(error), what: error.message };
  }
}

async function decoded(
  target: FuzzTarget,
  decode: Decode,
  pieces: readonly Uint8Array[],
): Promise<Outcome> {
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
  const { baseUs, perByteUs } = target.time ?? usualTime;
  const { base, perByte } = target.memory ?? usualMemory;
  const mostUs = baseUs + bytes * perByteUs + pieces.length * perPieceUs;
  const mostBytes = base + bytes * perByte + pieces.length * perPieceBytes;
  let measured = await measure(target, decode, pieces);
  for (let again = 1; again < measurements; again++) {
    if (measured.cpuUs <= mostUs && measured.bytes <= mostBytes) break;
    const { cpuUs, bytes: allocated, outcome } = await measure(target, decode, pieces);
    measured = {
      outcome,
      cpuUs: Math.min(cpuUs, measured.cpuUs),
      bytes: Math.min(allocated, measured.bytes),
    };
  }
  if (measured.cpuUs > mostUs) {
    throw new BrokenRule(
      'bounded-time',
      `${bytes} bytes in ${pieces.length} pieces took ${measured.cpuUs} µs of the processor; ${mostUs} are the most`,
    );
  }
  if (measured.bytes > mostBytes) {
    throw new BrokenRule(
      'bounded-memory',
      `${bytes} bytes in ${pieces.length} pieces took ${measured.bytes} bytes of memory; ${mostBytes} are the most`,
    );
  }
  return measured.outcome;
}

async function measure(
  target: FuzzTarget,
  decode: Decode,
  pieces: readonly Uint8Array[],
): Promise<Measured> {
  // Pieces of their own, so that a decoder that keeps or changes them is found.
  const given = pieces.map((piece) => piece.slice());
  const bytesBefore = allocatedBytes();
  const before = process.cpuUsage();
  let outcome: Outcome;
  try {
    const account = decode(given);
    outcome = { account: account instanceof Promise ? await account : account };
  } catch (error) {
    outcome = { code: refusalCode(target, error) };
  }
  const { user, system } = process.cpuUsage(before);
  const bytes = allocatedBytes() - bytesBefore;
  given.forEach((piece, i) => {
    if (Buffer.compare(piece, pieces[i]!) !== 0) {
      throw new BrokenRule('input-untouched', `piece ${i} of ${given.length} was changed`);
    }
  });
  return { outcome, cpuUs: user + system, bytes };
}

/** Of JavaScript and of buffers. Goes down when the collector has run, which only hides an excess. */
function allocatedBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

/** @throws {BrokenRule} for an error that is no refusal */
function refusalCode(target: FuzzTarget, error: unknown): string {
  if (error instanceof BrokenRule) throw error;
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown };
  const known =
    error instanceof Error &&
    typeof code === 'string' &&
    target.refusals.some((name) => (name.endsWith('_') ? code.startsWith(name) : code === name));
  if (known) return code;
  const shown = error instanceof Error ? stackOf(error) : String(error);
  throw new BrokenRule('documented-errors', shown);
}

function stackOf(error: Error): string {
  const [, ...frames] = (error.stack ?? '').split('\n    at ');
  const own = frames.find((frame) => !/node_modules|node:|fuzzing/.test(frame)) ?? frames[0] ?? '';
  const place = own.replace(/\(?file:\/\/.*?((?:harness|adapters|firmware-protocol)\/)/, '($1');
  return `${error.name}: ${error.message.slice(0, 300)} at ${place}`;
}

/** What stays the same when the input gets smaller: no numbers and no excerpts. */
function markOf(error: BrokenRule): string {
  if (error.rule === 'documented-errors') {
    return `${error.message.split(':', 1)[0]} at ${/ at (\S*)[^ ]*.*$/.exec(error.message)?.[1] ?? ''}`;
  }
  return error.message
    .split(/[:;]/, 1)[0]!
    .replaceAll(/[\d.]+/g, '#')
    .slice(0, 60);
}

/** Cut in random places, and, when it is short enough and seldom, into single bytes. */
function* arrivals(
  input: Uint8Array,
  random: Random,
  headBytes: number,
): Generator<readonly Uint8Array[]> {
  if (input.length - headBytes < 2) return;
  yield cutAt(input, headBytes, () => 1 + length(random, Math.max(1, input.length >> 1)));
  if (input.length <= singleBytesMax && chance(random, 0.3)) yield cutAt(input, headBytes, () => 1);
}

function cutAt(input: Uint8Array, headBytes: number, size: () => number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const end = at + size() + (at === 0 ? headBytes : 0);
    pieces.push(input.subarray(at, end));
    at = end;
  }
  return pieces;
}

function excerpt(outcome: Outcome): string {
  if ('code' in outcome) return outcome.code;
  const shown = JSON.stringify(outcome.account, (_, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (!ArrayBuffer.isView(value)) return value;
    return `[${[...(value as Uint8Array).subarray(0, 24)].join(' ')}, ${(value as Uint8Array).length} in all]`;
  });
  return (shown ?? 'nothing').slice(0, 400);
}
