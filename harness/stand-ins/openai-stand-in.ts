import { FieldCheck, type FieldIssue, type Fields, pythonList } from './field-check.ts';
import { kokoroDialect } from './kokoro-dialect.ts';
import {
  answerOpenAi,
  openAiHeaders,
  refuseOpenAi,
  refusePlanted,
  serverError,
} from './openai-answers.ts';
import {
  audioTypes,
  compatibleService,
  formatObstacle,
  formatObstacleCode,
  jsonFields,
  type PlantedRefusal,
  type SpeechDialect,
  type SpeechFormat,
  type SpeechRequest,
  speechFormats,
  speechUsage,
  textTokens,
} from './openai-compatible.ts';
import { openRouterDialect } from './openrouter-dialect.ts';
import type { OpenAiDialectName } from './personality.ts';
import { type Exchange, ProviderServer } from './provider-server.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';
import { vllmOmniDialect } from './vllm-omni-dialect.ts';
import { offersVoice } from './voice-name.ts';

/** OpenAI's `POST /v1/audio/speech`, or one of its copies when the personality says so. */
export function createOpenAiStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'openai-mini', (server) =>
    compatibleService(server, dialects[server.personality.behavior.dialect]),
  );
}

const speechPath = '/v1/audio/speech';
const inputCharactersMax = 4096;
/** Of the newer models. */
const inputTokensMax = 2000;

const newModels = ['gpt-4o-mini-tts', 'gpt-4o-mini-tts-2025-12-15'];
const models = ['tts-1', 'tts-1-hd', ...newModels];
/** In the order in which the service lists them in its own messages. */
const oldVoices = ['nova', 'shimmer', 'echo', 'onyx', 'fable', 'alloy', 'ash', 'sage', 'coral'];
const voices = [...oldVoices, 'ballad', 'verse', 'marin', 'cedar'];

/** The service itself (TTS provider protocol reference, section 4). */
const openAiDialect: SpeechDialect = {
  speechPath,
  answer: (server, exchange, speak) =>
    answerOpenAi(server, exchange, { routes: new Map([[speechPath, speak]]), models }),
  refusePlanted,
  read,
  deliveryOf: ({ stream_format }) => (stream_format === 'sse' ? 'events' : 'stream'),
  contentType: (format) => audioTypes[format],
  headers: (exchange, { processingMs }) => openAiHeaders(exchange, processingMs),
  events: {
    delta: (audio) => event({ type: 'speech.audio.delta', audio }),
    done: (clip) => event({ type: 'speech.audio.done', usage: speechUsage(clip) }),
    // The service does not say how it fails here; this is how its other streams do.
    failed: () => event({ type: 'error', error: serverError }),
  },
};

const dialects: Readonly<Record<OpenAiDialectName, SpeechDialect>> = {
  openai: openAiDialect,
  openrouter: openRouterDialect,
  kokoro: kokoroDialect,
  'vllm-omni': vllmOmniDialect,
};

function event(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

interface RawRequest {
  readonly model?: unknown;
  readonly input?: unknown;
  readonly voice?: unknown;
  readonly response_format?: unknown;
  readonly stream_format?: unknown;
}

function read(
  server: ProviderServer,
  exchange: Exchange,
  planted: PlantedRefusal | undefined,
): SpeechRequest | undefined {
  const problem = (message: string, code: string | null = null, status = 400): undefined =>
    refuseOpenAi(exchange, status, { message, type: 'invalid_request_error', code });
  const fields: (Fields & RawRequest) | undefined = jsonFields(exchange);
  if (fields === undefined) return problem('We could not parse the JSON body of your request.');
  const { model } = fields;
  if (typeof model === 'string' && !models.includes(model)) {
    const message = `The model \`${model}\` does not exist or you do not have access to it.`;
    return problem(message, 'model_not_found', 404);
  }
  const isNew = newModels.includes(String(model));
  const issues = validate(fields, isNew ? voices : oldVoices, planted === 'bad-voice');
  if (issues.length > 0) return problem(pythonList(issues));

  const input = fields.input as string;
  const tokens = planted === 'too-long' ? inputTokensMax + 1 : textTokens(input);
  if ((isNew || planted === 'too-long') && tokens > inputTokensMax) {
    const limit = `Input of ${tokens} tokens is over the maximum input limit of ${inputTokensMax} tokens.`;
    return problem(`${limit} Please shorten your input.`, 'invalid_value');
  }
  const format = (fields.response_format ?? 'mp3') as SpeechFormat;
  const obstacle = formatObstacle(server, format, fields.response_format === undefined);
  if (obstacle !== undefined) return problem(obstacle, formatObstacleCode);
  const events = fields.stream_format === 'sse';
  if (events && !isNew) {
    return problem(`stream_format "sse" is not supported for ${model}.`, 'unsupported_value');
  }
  const { voice } = fields;
  const voiceName = typeof voice === 'string' ? voice : (voice as { id: string }).id;
  return { input, voice: voiceName, format, delivery: events ? 'events' : 'stream' };
}

function validate(
  fields: Fields & RawRequest,
  knownVoices: readonly string[],
  refuseVoice: boolean,
): readonly FieldIssue[] {
  const check = new FieldCheck(fields);
  check.required('model', 'input', 'voice');
  check.text('model', 'input', 'instructions');
  check.longest(inputCharactersMax, 'input', 'instructions');
  check.notEmpty('input');
  const { voice } = fields;
  const custom =
    typeof voice === 'object' && voice !== null && typeof Object(voice).id === 'string';
  if (refuseVoice) {
    check.oneOf(
      'voice',
      knownVoices.filter((name) => name !== voice),
    );
  } else if (!custom && !offersVoice(knownVoices, String(voice))) {
    check.oneOf('voice', knownVoices);
  }
  check.oneOf('response_format', speechFormats);
  check.oneOf('stream_format', ['audio', 'sse']);
  check.number('speed', 0.25, 4);
  check.nothingBut(knownFields);
  return check.issues;
}

const knownFields = [
  'model',
  'input',
  'voice',
  'instructions',
  'response_format',
  'speed',
  'stream_format',
];
