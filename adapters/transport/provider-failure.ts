import type { IncomingHttpHeaders } from 'node:http';
import { longEnough, secretPattern } from '../secret-spellings.ts';
import { SpeechError, type SpeechFailureKind } from '../speech-error.ts';
import { httpDateSeconds } from './http-date.ts';

/** Failures that may pass by themselves; the others need a change of request, key or plan. */
const retryableKinds: ReadonlySet<SpeechFailureKind> = new Set([
  'rate-limit',
  'timeout',
  'truncated',
  'network',
  'server',
]);

export interface Failure {
  readonly kind: SpeechFailureKind;
  readonly message: string;
  readonly retryable?: boolean | undefined;
  readonly providerCode?: string | undefined;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** @param deliveredSamples 16 kHz samples yielded before */
export function speechError(failure: Failure, deliveredSamples: number): SpeechError {
  const { kind, message, providerCode, status, retryAfterMs, cause } = failure;
  return new SpeechError({
    kind,
    message,
    retryable: failure.retryable ?? retryableKinds.has(kind),
    deliveredSamples,
    ...(providerCode === undefined ? {} : { providerCode }),
    ...(status === undefined ? {} : { status }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * How one platform's refusals are told apart. First match wins: code, then words, then the family of
 * the code, then the status.
 */
export interface FailureTable {
  /** The provider's own code (or type) → class. */
  readonly codes: Readonly<Record<string, SpeechFailureKind>>;
  /** Tried on the provider's words, for services that send no usable code. */
  readonly words: readonly (readonly [RegExp, SpeechFailureKind])[];
  /** Tried on codes that carry a reason of their own, or are too general to go before the words. */
  readonly codeFamilies?: readonly (readonly [RegExp, SpeechFailureKind])[];
  /** What to try next, by class. */
  readonly hints?: Partial<Record<SpeechFailureKind, string>>;
}

/** What the provider said, as far as it can be found in its answer. */
export interface ProviderWords {
  readonly message: string;
  readonly code?: string;
  readonly type?: string;
  readonly param?: string;
}

const wordsLengthMax = 600;
/** Codes are names; what is longer is none. */
const codeLengthMax = 120;
/** No more of a page is looked through for its words. */
const pageLengthMax = 8192;
/** Envelopes in envelopes; real ones have two or three. */
const envelopeDepthMax = 16;

/**
 * Finds the message in an error body. Understood are the envelopes of TTS provider protocol
 * reference, sections 4.5, 5.1–5.7, 6.5 and 8.2, plain text and HTML.
 */
export function providerWords(body: string): ProviderWords {
  const text = body.trim();
  if (text.startsWith('{') || text.startsWith('[')) {
    try {
      const found = wordsOf(JSON.parse(text));
      if (found !== undefined) return found;
    } catch {
      // Cut off or no JSON after all: the text itself is the best there is.
    }
  }
  if (/^<(?:!doctype|html)/i.test(text)) {
    const page = text.slice(0, pageLengthMax);
    const title = /<title[^<>]*>([^<]*)<\/title>/i.exec(page)?.[1];
    return { message: shorten(title ?? page.replace(/<[^<>]*>/g, ' ')) };
  }
  return { message: shorten(text) };
}

/** As {@link providerWords}, of an envelope that has been parsed already; undefined when it is none. */
export function wordsOf(value: unknown): ProviderWords | undefined {
  return wordsWithin(value, envelopeDepthMax);
}

function wordsWithin(value: unknown, depth: number): ProviderWords | undefined {
  if (typeof value === 'string') return { message: shorten(value) };
  if (typeof value !== 'object' || value === null || depth === 0) return undefined;
  // FastAPI's validation list, or a list of errors: the first one speaks for all.
  if (Array.isArray(value)) return wordsWithin(value[0], depth - 1);
  const { detail, errors, error, message, msg, title, loc, param, code, status, type } =
    value as Envelope;
  const inner = detail ?? errors ?? error;
  if (typeof inner === 'object' && inner !== null) return wordsWithin(inner, depth - 1);
  const text = [message, msg, detail, title, error].find(isWord);
  if (text === undefined) return undefined;
  // The code stands in `code`, or in `error` (Kokoro) or `status` (ElevenLabs) beside a message; a
  // number is mostly the status once more.
  const names = [code, status, error].filter((name) => name !== text);
  const name = names.find(isWord) ?? names.find((candidate) => typeof candidate === 'number');
  const field = Array.isArray(loc) ? loc.at(-1) : param;
  return shortWords({
    message: text,
    ...(name === undefined ? {} : { code: String(name) }),
    ...(isWord(type) ? { type } : {}),
    ...(isWord(field) ? { param: field } : {}),
  });
}

/** Keys that error bodies use; a body has some of them. */
type Envelope = Partial<
  Record<
    | 'detail'
    | 'errors'
    | 'error'
    | 'message'
    | 'msg'
    | 'title'
    | 'loc'
    | 'param'
    | 'code'
    | 'status'
    | 'type',
    unknown
  >
>;

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** The same words, no longer than people read. */
export function shortWords({ message, code, type, param }: ProviderWords): ProviderWords {
  return {
    message: shorten(message),
    ...(code === undefined ? {} : { code: shorten(code, codeLengthMax) }),
    ...(type === undefined ? {} : { type: shorten(type, codeLengthMax) }),
    ...(param === undefined ? {} : { param }),
  };
}

/** A refusal in HTTP, at a request or at a WebSocket upgrade. */
export interface HttpRefusal {
  readonly platform: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export function classifyRefusal(refusal: HttpRefusal, table: FailureTable): Failure {
  const { platform, status, headers } = refusal;
  const words = providerWords(refusal.body);
  const kind = classifyWords(words, table, status < 500) ?? kindOfStatus(status);
  const location = status >= 300 && status < 400 ? ` to ${headers.location ?? 'nowhere'}` : '';
  const hint =
    location === '' ? table.hints?.[kind] : 'Redirects are not followed: set "url" to it.';
  return {
    kind,
    status,
    message: sentence(
      `${platform} answered ${status}${location}: ${words.message || 'no explanation'}`,
      hint,
    ),
    providerCode: words.code ?? words.type,
    retryAfterMs: retryAfterMs(headers) ?? waitInWords(words.message),
  };
}

/**
 * A failure that a service tells behind a status of success: in its stream, or as JSON for audio.
 * Many repeat there the status that they could not send any more, as a number.
 *
 * @param otherwise the class when neither code nor words are known
 */
export function classifyInBand(
  words: ProviderWords,
  table: FailureTable,
  otherwise: SpeechFailureKind,
): SpeechFailureKind {
  const status = /^[45]\d\d$/.test(words.code ?? '') ? Number(words.code) : undefined;
  return (
    classifyWords(words, table, status === undefined || status < 500) ??
    (status === undefined ? otherwise : kindOfStatus(status))
  );
}

/** The class that a provider's code or words stand for; undefined when they say nothing known. */
export function classifyWords(
  words: ProviderWords,
  table: FailureTable,
  readWords = true,
): SpeechFailureKind | undefined {
  for (const name of [words.code, words.type]) {
    // A code may be a name that every object has, such as "constructor".
    if (name !== undefined && Object.hasOwn(table.codes, name)) return table.codes[name];
  }
  const { code = '', param } = words;
  return (
    (readWords ? table.words.find(([pattern]) => pattern.test(words.message))?.[1] : undefined) ??
    table.codeFamilies?.find(([pattern]) => pattern.test(code))?.[1] ??
    (param === 'voice' ? 'bad-voice' : undefined)
  );
}

function kindOfStatus(status: number): SpeechFailureKind {
  if (status === 401 || status === 403 || status === 407) return 'auth';
  if (status === 402) return 'quota';
  // Of the service, and of a proxy that waited for it.
  if (status === 408 || status === 504) return 'timeout';
  if (status === 413) return 'too-long';
  if (status === 429) return 'rate-limit';
  if (status === 204) return 'empty';
  if (status >= 400 && status < 500) return 'bad-request';
  return status >= 500 ? 'server' : 'protocol';
}

/**
 * How long the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
 * A date only counts from the answer's own `Date` header; without one it is ignored.
 */
export function retryAfterMs(headers: IncomingHttpHeaders): number | undefined {
  const precise = headers['retry-after-ms'];
  if (typeof precise === 'string' && /^\d+(\.\d+)?$/.test(precise)) {
    return waitMs(Number(precise));
  }
  const value = headers['retry-after'];
  if (value === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return waitMs(Number(value) * 1_000);
  const until = httpDateSeconds(value);
  const now = headers.date === undefined ? undefined : httpDateSeconds(headers.date);
  if (until === undefined || now === undefined) return undefined;
  return waitMs(Math.max(0, until - now) * 1_000);
}

/** Nobody means to be asked again in more than a year; such a number is none. */
const waitMsMax = 366 * 24 * 3_600_000;

function waitMs(ms: number): number | undefined {
  return ms <= waitMsMax ? Math.round(ms) : undefined;
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const spanPattern = String.raw`(\d+(?:\.\d+)?)\s?(ms|h|m|s)(?:illiseconds?|ours?|inutes?|econds?)?`;
const waitPattern = new RegExp(
  `\\b(?:try again|retry) (?:in|after) ((?:${spanPattern}\\s?)+)`,
  'i',
);

/**
 * The wait that a provider names in its words only, as Groq does (TTS provider protocol reference,
 * section 5.1): `Please try again in 14m3.2s`, `retry after 20 seconds`.
 */
export function waitInWords(message: string): number | undefined {
  const spans = waitPattern.exec(message)?.[1];
  if (spans === undefined) return undefined;
  const parts = [...spans.matchAll(new RegExp(spanPattern, 'gi'))];
  const sum = parts.reduce((ms, part) => ms + Number(part[1]) * unitMs[part[2]!.toLowerCase()]!, 0);
  return waitMs(sum);
}

/** Takes known secrets out of a text that a provider wrote, in whatever encoding it has them. */
export function redact(text: string, secrets: readonly string[]): string {
  const pattern = secretPattern(secrets);
  return pattern === undefined ? text : text.replaceAll(pattern, '[redacted]');
}

/**
 * Takes known secrets out of a message for the recording. A binary one keeps its length, because it
 * may say itself how long its parts are.
 */
export function redactBytes(
  bytes: Uint8Array,
  secrets: readonly string[],
  binary: boolean,
): Uint8Array {
  const found = longEnough(secrets).filter((secret) => Buffer.from(bytes).includes(secret));
  if (found.length === 0) return bytes;
  if (!binary) return Buffer.from(redact(Buffer.from(bytes).toString('utf8'), found));
  const copy = Buffer.from(bytes);
  for (const secret of found) {
    const length = Buffer.byteLength(secret);
    for (let at = copy.indexOf(secret); at >= 0; at = copy.indexOf(secret, at)) {
      copy.fill('*', at, at + length);
    }
  }
  return copy;
}

const secretParameters =
  /^(?:authorization|token|single_use_token|key|api[-_]?key|xi[-_]api[-_]key)$/i;

/** The URL without anything that could be a credential. */
export function publicUrl(url: URL): string {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  for (const name of [...copy.searchParams.keys()]) {
    if (secretParameters.test(name)) copy.searchParams.set(name, '[redacted]');
  }
  return copy.href;
}

/** What {@link publicUrl} leaves out, as it is written in the URL and as it is meant. */
export function urlCredentials(url: URL): string[] {
  const parameters = [...url.searchParams].filter(([name]) => secretParameters.test(name));
  const found = [url.password, ...parameters.map(([, value]) => value)];
  return found
    .filter((text) => text !== '')
    .flatMap((text) => (text.includes('%') ? [text, decoded(text)] : [text]));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A percent sign that stands for itself.
    return text;
  }
}

/** `what` and, when there is one, what to try next, as sentences. */
export function sentence(what: string, hint?: string): string {
  const end = /[.!?…]$/.test(what) ? what : `${what}.`;
  return hint === undefined ? end : `${end} ${hint}`;
}

function shorten(text: string, lengthMax = wordsLengthMax): string {
  // Much of a long text may be space; more than this of it is not looked at.
  const line = text.slice(0, pageLengthMax).replace(/\s+/g, ' ').trim();
  return line.length > lengthMax ? `${line.slice(0, lengthMax)}…` : line;
}
