import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recording } from './recorded-cell.ts';
import { checkRecordedFiles, manifestFile } from './recorded-files.ts';
import { damaged, RecordingError } from './recording-error.ts';
import { microphoneFile, partialSuffix, roomFile } from './recording-writer.ts';
import { type TraceEvent, type TraceHeader, traceFormatVersion } from './trace-event.ts';
import { upgradeTrace, type WrittenTrace } from './trace-upgrade.ts';
import { readWav } from './wav-file.ts';

/**
 * Opens a recording, finished or partial.
 *
 * @param folder holds `trace.jsonl`; when it does not exist, `<folder>.partial` is tried.
 * @throws {RecordingError} `RECORDING_NOT_FOUND`, `RECORDING_VERSION`, `RECORDING_DAMAGED`
 */
export function readRecording(folder: string): Recording {
  const actual = existsSync(folder) ? folder : folder + partialSuffix;
  const path = join(actual, 'trace.jsonl');
  if (!existsSync(path)) {
    throw new RecordingError(
      'RECORDING_NOT_FOUND',
      `${folder} holds no recording: trace.jsonl is missing.`,
      'Name a folder of one cell, such as recordings/runs/<run>/cells/<cell>.',
    );
  }
  const partial = !existsSync(join(actual, manifestFile));
  // What is wrong with a line is told by its number.
  const { header, events } = parseTrace(readFileSync(path), path, partial);
  checkRecordedFiles(actual);
  const microphone = join(actual, microphoneFile);
  const room = join(actual, roomFile);
  return {
    header,
    events,
    speaker: readAudio(join(actual, 'speaker.wav')),
    user: readAudio(join(actual, 'user.wav')),
    ...(existsSync(microphone) && { microphone: readWav(microphone) }),
    ...(existsSync(room) && { room: readWav(room) }),
    sent: readAudio(join(actual, 'sent.wav')),
    provider: readProviderAudio(join(actual, 'provider')),
    partial,
  };
}

/**
 * The first line of a recording, for whoever needs no more.
 *
 * @throws {RecordingError} as {@link readRecording}
 */
export function readRecordingHeader(folder: string): TraceHeader {
  const path = join(folder, 'trace.jsonl');
  const trace = readFileSync(path);
  return parseTrace(trace.subarray(0, trace.indexOf(lineFeed) + 1), path, true).header;
}

const lineFeed = 0x0a;

/**
 * @param trace of any version of the format; what comes back is of today's.
 * @param partial a process that was killed wrote it, or a machine that lost its power: what follows the last whole line is
 *   dropped.
 * @throws {RecordingError} `RECORDING_DAMAGED` with the line, `RECORDING_VERSION`
 */
export function parseTrace(
  trace: Uint8Array,
  path: string,
  partial: boolean,
): { header: TraceHeader; events: TraceEvent[] } {
  const records: Readonly<Record<string, unknown>>[] = [];
  for (const line of linesOf(trace)) {
    const record = line.isWhole
      ? readLine(line.bytes, records.length > 0)
      : 'the last line is torn';
    if (typeof record !== 'string') records.push(record);
    else if (partial && records.length > 0) break;
    else throw damaged(path, record, records.length + 1);
  }
  const written = records.shift() as WrittenTrace['header'] | undefined;
  if (written?.type !== 'header') throw damaged(path, 'the first line is not a trace header', 1);
  const upgraded = upgradeTrace({ header: written, events: records });
  if (upgraded === undefined) {
    throw new RecordingError(
      'RECORDING_VERSION',
      `${path} has trace format ${written.formatVersion}; this version reads formats 1 to ${traceFormatVersion}.`,
      'Open it with the version of echokit-harness that the manifest names, or a newer one.',
    );
  }
  const header = upgraded.header as unknown as TraceHeader;
  const events = [...upgraded.events] as unknown as TraceEvent[];
  return { header, events: events.sort((a, b) => a.atUs - b.atUs || a.seq - b.seq) };
}

function* linesOf(bytes: Uint8Array): Iterable<{ bytes: Uint8Array; isWhole: boolean }> {
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(lineFeed, from);
    const isWhole = end >= 0;
    const to = isWhole ? end : bytes.length;
    yield { bytes: bytes.subarray(from, to), isWhole };
    from = to + 1;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @returns what is wrong with it, when it is no line of a trace */
function readLine(bytes: Uint8Array, isEvent: boolean): Readonly<Record<string, unknown>> | string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return 'it is not UTF-8';
  }
  try {
    const record: unknown = JSON.parse(text);
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      return 'it is not a JSON object';
    }
    const fields = record as Record<string, unknown>;
    // Without these it has no place among the others.
    const hasPlace = Number.isFinite(fields['atUs']) && Number.isFinite(fields['seq']);
    if (isEvent && !hasPlace) return 'it is no event: atUs and seq must be numbers';
    return fields;
  } catch (error) {
    return (error as Error).message;
  }
}

function readAudio(path: string): Int16Array {
  return existsSync(path) ? readWav(path) : new Int16Array(0);
}

function readProviderAudio(folder: string): Map<number, Int16Array> {
  const audio = new Map<number, Int16Array>();
  if (!existsSync(folder)) return audio;
  const requests = readdirSync(folder)
    .filter((name) => name.endsWith('.wav'))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b);
  for (const request of requests) audio.set(request, readWav(join(folder, `${request}.wav`)));
  return audio;
}
