/**
 * OpenAI's speech as server-sent events, and the variants of the services that copy it (TTS provider
 * protocol reference, sections 4.3 and 5.4).
 */
import type { SpeechUsage } from '../speech-adapter.ts';
import type { AnswerFraming, AnswerPart } from '../transport/answer-framing.ts';
import { EventStreamReader, type ServerSentEvent } from '../transport/event-stream.ts';
import { wordsOf } from '../transport/provider-failure.ts';

/** Members of an event that one service or another uses. */
type EventFields = Partial<Record<'type' | 'audio' | 'delta' | 'usage' | 'error', unknown>>;

/** One event holds less than a second of audio; this is three minutes at 24 kHz. */
const eventCharactersMax = 16 * 1024 * 1024;

/** Reads `speech.audio.delta`, `.done` and `.error`; other events are passed over. */
export class OpenAiSpeechEvents implements AnswerFraming {
  readonly #events = new EventStreamReader();

  get idle(): boolean {
    return this.#events.unfinished === 0;
  }

  push(bytes: Uint8Array): AnswerPart[] {
    const parts = this.#events.push(bytes).flatMap((event) => partOf(event) ?? []);
    if (this.#events.unfinished > eventCharactersMax) {
      const what = `sent an event of more than ${eventCharactersMax} characters.`;
      parts.push({ type: 'alien', what });
    }
    return parts;
  }

  finish(): AnswerPart[] {
    // The last event may be half of one: then it is not there, and the answer has no end.
    return this.#events.end().flatMap((event) => {
      const part = partOf(event);
      return part === undefined || part.type === 'alien' ? [] : part;
    });
  }
}

function partOf({ name, data }: ServerSentEvent): AnswerPart | undefined {
  if (data.trim() === '[DONE]') return { type: 'end' };
  const event = objectOf(data);
  if (event === undefined) {
    // What is no JSON is no event of this protocol; under a name of its own it is somebody else's.
    if (name !== '' && !name.startsWith('speech.')) return undefined;
    return { type: 'alien', what: `sent an event that is no JSON object: ${excerpt(data)}` };
  }
  const type = typeof event.type === 'string' ? event.type : name;
  switch (type) {
    case 'speech.audio.delta':
      return audioOf(event);
    case 'speech.audio.done': {
      const usage = usageOf(event.usage);
      return { type: 'end', ...(usage === undefined ? {} : { usage }) };
    }
    default: {
      if (!type.endsWith('error') && (type !== '' || event.error === undefined)) return undefined;
      return { type: 'failure', words: wordsOf(event) ?? { message: excerpt(data) } };
    }
  }
}

function audioOf(event: EventFields): AnswerPart {
  // Earlier builds of vLLM-Omni and some others write `delta`.
  const base64 = [event.audio, event.delta].find((value) => typeof value === 'string');
  if (typeof base64 !== 'string') {
    const fields = Object.keys(event).join(', ');
    const what = `sent a speech.audio.delta without "audio" or "delta"; it has ${fields}.`;
    return { type: 'alien', what };
  }
  if (!/^[\w+/-]*={0,2}$/.test(base64) || base64.replace(/=+$/, '').length % 4 === 1) {
    return { type: 'alien', what: `sent audio that is no base64: ${excerpt(base64)}` };
  }
  return { type: 'audio', bytes: Buffer.from(base64, 'base64') };
}

function usageOf(value: unknown): SpeechUsage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { input_tokens, output_tokens } = value as Partial<
    Record<'input_tokens' | 'output_tokens', unknown>
  >;
  const usage = {
    ...(isCount(input_tokens) ? { inputTokens: input_tokens } : {}),
    ...(isCount(output_tokens) ? { outputTokens: output_tokens } : {}),
  };
  return Object.keys(usage).length === 0 ? undefined : usage;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function objectOf(data: string): EventFields | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Of an event that cannot be read, in the failure. */
const excerptCharactersMax = 120;

function excerpt(text: string): string {
  return text.length > excerptCharactersMax ? `${text.slice(0, excerptCharactersMax)}…` : text;
}
