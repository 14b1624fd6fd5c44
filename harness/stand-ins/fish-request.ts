import type { AudioFormat } from './audio-format.ts';
import { FieldCheck, type FieldIssue, type Fields, withoutNulls } from './field-check.ts';

/*
 * What Fish Audio understands as a request for speech, over HTTP and in the `start` of its live
 * socket (TTS provider protocol reference, sections 7.1 and 7.2).
 */

export interface FishRequest {
  readonly text: string;
  /** The voice: the first of several; the model when none is named. */
  readonly voice: string;
  readonly container: 'none' | 'wav';
  readonly audio: AudioFormat;
  /** `normal` makes whole segments before it sends them; the others stream. */
  readonly latency: 'low' | 'normal' | 'balanced';
  /** Most characters of a segment. */
  readonly chunkLength: number;
}

export interface FishProblem {
  readonly status: 400 | 422;
  readonly message: string;
}

const models = ['s1', 's2-pro', 's2.1-pro', 's2.1-pro-free'];
const fallbackModel = 's2.1-pro';

/** The model of a `model` header: a missing or unknown one falls back. */
export function fishModel(header: string | string[] | undefined): string {
  return typeof header === 'string' && models.includes(header) ? header : fallbackModel;
}

const formats = ['wav', 'pcm', 'mp3', 'opus'] as const;
type Format = (typeof formats)[number];
const linearRatesHz = [8000, 16_000, 24_000, 32_000, 44_100];
const ratesHz: Readonly<Record<Format, readonly number[]>> = {
  wav: linearRatesHz,
  pcm: linearRatesHz,
  mp3: [32_000, 44_100],
  opus: [48_000],
};
/** Documentation and SDK count in different units; −1000 is automatic. */
const opusBitrates = [-1000, 24, 32, 48, 64, 24_000, 32_000, 48_000, 64_000];
/** What automatic comes to is not published. */
const automaticOpusKbps = 32;

/** Issues of shape are 422, values that are not allowed 400. */
const shapeIssues = [
  'missing',
  'string_type',
  'bool_type',
  'float_type',
  'int_type',
  'list_type',
  'bytes_type',
  'model_attributes_type',
];

/**
 * @param textRequired over HTTP; a live session gets its text later
 */
export function readFishRequest(
  body: Fields,
  model: string,
  textRequired: boolean,
): FishRequest | FishProblem {
  // The npm client writes nil for what was left out.
  const fields = withoutNulls(body, textRequired ? ['text'] : []);
  const issue = issuesOf(fields, textRequired)[0];
  if (issue !== undefined) {
    const status = shapeIssues.includes(issue.type) ? 422 : 400;
    return { status, message: `${issue.loc.slice(1).join('.')}: ${issue.msg}` };
  }
  const format = (fields['format'] ?? 'mp3') as Format;
  const rateHz = (fields['sample_rate'] ?? (format === 'opus' ? 48_000 : 44_100)) as number;
  if (!ratesHz[format].includes(rateHz)) {
    const allowed = ratesHz[format].join(', ');
    const message = `sample_rate: ${rateHz} is not supported for ${format}, only ${allowed}`;
    return { status: 400, message };
  }
  const names = [fields['reference_id'] ?? []].flat() as string[];
  const unknown = names.find((name) => name.startsWith('unknown'));
  if (unknown !== undefined) return unknownReference(unknown);
  return {
    text: (fields['text'] ?? '') as string,
    voice: names[0] ?? model,
    container: format === 'wav' ? 'wav' : 'none',
    audio: audioFormat(format, rateHz, fields),
    latency: (fields['latency'] ?? 'normal') as FishRequest['latency'],
    chunkLength: (fields['chunk_length'] ?? 300) as number,
  };
}

export function unknownReference(name: string): FishProblem {
  return { status: 400, message: `Reference not found: ${name}` };
}

function audioFormat(format: Format, rateHz: number, fields: Fields): AudioFormat {
  switch (format) {
    case 'wav':
    case 'pcm':
      return { codec: 'pcm', rateHz };
    case 'mp3':
      return { codec: 'mp3', rateHz, bitrateKbps: (fields['mp3_bitrate'] ?? 128) as number };
    case 'opus': {
      const asked = (fields['opus_bitrate'] ?? -1000) as number;
      const kbps = asked >= 1000 ? asked / 1000 : asked;
      return { codec: 'opus', rateHz, bitrateKbps: kbps < 0 ? automaticOpusKbps : kbps };
    }
  }
}

function issuesOf(fields: Fields, textRequired: boolean): readonly FieldIssue[] {
  const check = new FieldCheck(fields);
  if (textRequired) {
    check.required('text');
    check.notEmpty('text');
  }
  check.text('text', 'format', 'latency');
  if (Array.isArray(fields['reference_id'])) check.listOf('string', 'reference_id');
  else check.text('reference_id');
  check.listOf('object', 'references');
  check.listOf('string', 'features');
  check.oneOf('format', formats);
  check.oneOf('latency', ['low', 'normal', 'balanced']);
  check.oneOfNumbers('mp3_bitrate', [64, 128, 192]);
  check.oneOfNumbers('opus_bitrate', opusBitrates);
  check.number('sample_rate', 1, Number.MAX_SAFE_INTEGER);
  check.integer('chunk_length', 100, 300);
  check.integer('min_chunk_length', 0, 100);
  check.integer('max_new_tokens', 0, Number.MAX_SAFE_INTEGER);
  check.number('temperature', 0, 1);
  check.number('top_p', 0, 1);
  check.number('repetition_penalty', 0, Number.MAX_VALUE);
  check.number('early_stop_threshold', 0, 1);
  check.flag('normalize', 'condition_on_previous_chunks');
  const prosody = new FieldCheck(withoutNulls(check.dictionary('prosody')), ['body', 'prosody']);
  prosody.number('speed', 0.5, 2);
  prosody.number('volume', -20, 20);
  prosody.flag('normalize_loudness');
  const references = [fields['references'] ?? []].flat() as Fields[];
  const wrong = references.flatMap((reference, index): FieldIssue[] => {
    const where = ['body', 'references', String(index)];
    const each = new FieldCheck(reference ?? {}, where);
    each.required('audio', 'text');
    each.text('text');
    each.bytes('audio');
    return each.issues;
  });
  return [...check.issues, ...prosody.issues, ...wrong];
}
