import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recording } from './recorded-cell.ts';
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
  const partial = !existsSync(join(actual, 'manifest.toml'));
  const { header, events } = parseTrace(readFileSync(path, 'utf8'), path, partial);
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
  return parseTrace(`${readFileSync(path, 'utf8').split('\n', 1)[0]}\n`, path, true).header;
}

/**
 * @param text of any version of the format; what comes back is of today's.
 * @param partial allows a torn last line, which is dropped.
 */
export function parseTrace(
  text: string,
  path: string,
  partial: boolean,
): { header: TraceHeader; events: TraceEvent[] } {
  const lines = text.split('\n');
  const last = lines.pop();
  if (last !== '' && !partial) throw damaged(path, lines.length + 1, 'the last line is torn');
  const records = lines.map((line, i): unknown => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw damaged(path, i + 1, (error as Error).message);
    }
  });
  const written = records.shift() as WrittenTrace['header'] | undefined;
  if (written?.type !== 'header') throw damaged(path, 1, 'the first line is not a trace header');
  const trace = upgradeTrace({ header: written, events: records as WrittenTrace['events'] });
  if (trace === undefined) {
    throw new RecordingError(
      'RECORDING_VERSION',
      `${path} has trace format ${written.formatVersion}; this version reads formats 1 to ${traceFormatVersion}.`,
      'Open it with the version of echokit-harness that the manifest names, or a newer one.',
    );
  }
  const header = trace.header as unknown as TraceHeader;
  const events = [...trace.events] as unknown as TraceEvent[];
  return { header, events: events.sort((a, b) => a.atUs - b.atUs || a.seq - b.seq) };
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

function damaged(path: string, line: number, what: string): RecordingError {
  return new RecordingError(
    'RECORDING_DAMAGED',
    `${path}:${line}: ${what}.`,
    'Restore the file from where it was recorded; everything before that line is readable by hand.',
  );
}

export class RecordingError extends Error {
  override readonly name = 'RecordingError';
  readonly code:
    | 'RECORDING_NOT_FOUND'
    | 'RECORDING_VERSION'
    | 'RECORDING_DAMAGED'
    | 'RECORDING_WITHOUT_INPUTS'
    | 'RECORDING_WITHOUT_TRAFFIC';
  readonly hint: string;

  constructor(code: RecordingError['code'], message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}
