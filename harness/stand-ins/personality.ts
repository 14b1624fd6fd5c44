import { z } from 'zod';
import { nearestName } from '../../adapters/nearest-name.ts';
import { parseToml, TomlSyntaxError } from '../toml/toml-document.ts';
import { StandInError } from './stand-in-error.ts';
import type { TimingProfile } from './timing-profile.ts';

/**
 * How one provider behaves as its users meet it: when its audio comes, and what its server does
 * differently from others of the same platform. Data, one file each in `personalities/`.
 */
export interface Personality {
  /** That of its file. */
  readonly name: string;
  readonly title: string;
  /** Platforms that may have it, in EchoKit's spelling. */
  readonly platforms: readonly string[];
  /** `measured`: by the sources, as it stands. Otherwise chosen to fit what they say. */
  readonly evidence: 'measured' | 'engineering choice';
  /** Where the values come from: a section of a reference first, then what was published. */
  readonly sources: readonly string[];
  /** Day on which the values were last compared with the sources: `2026-11-26`. */
  readonly date: string;
  readonly timing: TimingProfile;
  readonly behavior: Behavior;
}

/** What a server of the platform does when nothing else is said, and what it does differently. */
export interface Behavior {
  /** Which of the services that copy OpenAI's API it is. Of the platform `openai` only. */
  readonly dialect: OpenAiDialectName;
  /** Each sentence is made for itself and sent as one chunk, instead of chunks by time. */
  readonly chunkPerSentence: boolean;
  /**
   * Faces of the server (routes, sockets, modes) that have the timing of another personality. Which
   * names count is for the platform's stand-in to say.
   */
  readonly timingOf?: Readonly<Record<string, string>>;
  /** WAV headers state the true sizes where the service writes placeholders. */
  readonly honestWavSizes: boolean;
  /** A WebSocket serves the next session when one is finished, where the service closes it. */
  readonly staysOpen: boolean;
}

export const openAiDialectNames = ['openai', 'openrouter', 'kokoro', 'vllm-omni'] as const;
export type OpenAiDialectName = (typeof openAiDialectNames)[number];

const milliseconds = z.number().min(0).max(3_600_000);
const seconds = z.number().gt(0);
const range = (of: z.ZodType<number>) =>
  z
    .tuple([of, of])
    .refine(([minimum, maximum]) => minimum <= maximum, 'the smaller number comes first')
    .transform(([minimum, maximum]) => ({ minimum, maximum }));
const text = z.string().regex(/\S/, 'is empty');

const fileSchema = z.strictObject({
  title: text,
  platforms: z.array(text).min(1),
  evidence: z.enum(['measured', 'engineering choice']),
  date: z.date('must be a day, for example 2026-11-26'),
  sources: z.array(text).min(1),
  timing: z.strictObject({
    connect_ms: milliseconds,
    first_byte_ms: z
      .strictObject({ p50: milliseconds.gt(0), p95: milliseconds })
      .refine(({ p50, p95 }) => p95 >= p50, 'p95 is below p50'),
    first_byte_ms_per_audio_second: milliseconds.default(0),
    first_chunk_seconds: z.union([seconds, z.literal(Number.POSITIVE_INFINITY)]),
    first_pieces: z
      .array(z.strictObject({ characters: z.number().gt(0), seconds, first_byte_ms: milliseconds }))
      .refine(
        (pieces) =>
          pieces.every(({ characters }, i) => characters > (pieces[i - 1]?.characters ?? 0)),
        'characters must rise',
      )
      .optional(),
    next_chunk_seconds: z.array(range(seconds)),
    gap_ms: z.array(range(milliseconds)).min(1),
    speed: z.number().gt(0),
    lead_silence_ms: milliseconds,
    tail_silence_ms: milliseconds.default(0),
    jitter_ms: milliseconds,
    stalls: z.strictObject({ share: z.number().min(0).max(1), ms: range(milliseconds) }).optional(),
  }),
  behavior: z
    .strictObject({
      cut_anywhere: z.boolean().default(false),
      dialect: z.enum(openAiDialectNames).default('openai'),
      chunk_per_sentence: z.boolean().default(false),
      timing_of: z.record(text, text).optional(),
      honest_wav_sizes: z.boolean().default(false),
      stays_open: z.boolean().default(false),
    })
    .prefault({}),
});

/**
 * @param toml content of a file of `personalities/`
 * @param file its path, for messages
 * @throws {StandInError} `STAND_IN_BAD_PERSONALITY`, with every problem of the file
 */
export function parsePersonality(toml: string, name: string, file: string): Personality {
  let table: unknown;
  try {
    table = parseToml(toml);
  } catch (cause) {
    throw cause instanceof TomlSyntaxError ? syntaxError(file, cause) : cause;
  }
  const parsed = fileSchema.safeParse(table);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${file}: ${problemOf(issue)}`);
    throw new StandInError('STAND_IN_BAD_PERSONALITY', problems.join('\n'));
  }
  const { title, platforms, evidence, date, sources, timing, behavior } = parsed.data;
  return {
    name,
    title,
    platforms,
    evidence,
    sources,
    date: date.toISOString().slice(0, 10),
    timing: {
      name,
      connectMs: timing.connect_ms,
      firstByteMs: timing.first_byte_ms,
      firstByteMsPerSecond: timing.first_byte_ms_per_audio_second,
      firstChunkSeconds: timing.first_chunk_seconds,
      ...(timing.first_pieces !== undefined && {
        firstPieces: timing.first_pieces.map((piece) => ({
          charactersMin: piece.characters,
          seconds: piece.seconds,
          firstByteMs: piece.first_byte_ms,
        })),
      }),
      nextChunkSeconds: timing.next_chunk_seconds,
      cadenceMs: timing.gap_ms,
      speed: timing.speed,
      leadSilenceMs: timing.lead_silence_ms,
      tailSilenceMs: timing.tail_silence_ms,
      oddByteCuts: behavior.cut_anywhere,
      jitterMs: timing.jitter_ms,
      ...(timing.stalls !== undefined && { stalls: timing.stalls }),
    },
    behavior: {
      dialect: behavior.dialect,
      chunkPerSentence: behavior.chunk_per_sentence,
      ...(behavior.timing_of !== undefined && { timingOf: behavior.timing_of }),
      honestWavSizes: behavior.honest_wav_sizes,
      staysOpen: behavior.stays_open,
    },
  };
}

function syntaxError(file: string, cause: TomlSyntaxError): StandInError {
  const { line, column } = cause.at;
  const message = `${file}:${line}:${column}: this is not valid TOML: ${cause.message}`;
  return new StandInError('STAND_IN_BAD_PERSONALITY', message, { cause });
}

function problemOf(issue: z.core.$ZodIssue): string {
  const path = issue.path.join('.');
  if (issue.code !== 'unrecognized_keys') return `${path}: ${issue.message}`;
  const valid = keysAt(issue.path);
  return issue.keys
    .map((key) => {
      const meant = nearestName(key, valid);
      const advice = meant === undefined ? `keys: ${valid.join(', ')}` : `did you mean "${meant}"?`;
      return `unknown key "${path === '' ? key : `${path}.${key}`}": ${advice}`;
    })
    .join('; ');
}

function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = fileSchema;
  for (const key of path) {
    schema = (bare(schema) as z.ZodObject).shape[String(key)];
  }
  return Object.keys((bare(schema) as z.ZodObject).shape);
}

/** Without the wrappers of a default. */
function bare(schema: unknown): unknown {
  const wrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault;
  return wrapped ? bare(schema.unwrap()) : schema;
}
