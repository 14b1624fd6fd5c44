import { FieldCheck } from './field-check.ts';
import {
  audioTypes,
  formatObstacle,
  jsonFields,
  type PlantedRefusal,
  type SpeechDialect,
  type SpeechFormat,
  type SpeechRequest,
  type SpokenClip,
  speechFormats,
  speechUsage,
} from './openai-compatible.ts';
import { eventFaults } from './planted-fault.ts';
import { bearerKey, type Exchange, type ProviderServer, replyJson } from './provider-server.ts';
import { offersVoice } from './voice-name.ts';

const speechPath = '/v1/audio/speech';
/** What is served; other names are accepted, too, unless they start with `unknown`. */
const servedModel = 'Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice';
/** Depends on how the server was started; said when it is planted. */
const tokensMax = 4096;
const voices = ['vivian', 'serena', 'dylan', 'eric', 'ryan', 'aiden', 'sohee'];

/**
 * vLLM-Omni (TTS provider protocol reference, section 5.4): WAV unless something else is asked for,
 * finished first unless `stream` or `stream_format` says so, events with names, numbers as codes.
 */
export const vllmOmniDialect: SpeechDialect = {
  speechPath,
  answer,
  refusePlanted,
  read,
  deliveryOf,
  contentType: (format) => audioTypes[format],
  headers: (_exchange, clip) => (clip.request.delivery === 'whole' ? tokenHeaders(clip) : {}),
  events: {
    delta: (audio, { format }) => event('speech.audio.delta', { audio, response_format: format }),
    done: (clip) => {
      const usage = speechUsage(clip);
      const details = { text_tokens: usage.input_tokens, audio_tokens: 0 };
      return event('speech.audio.done', { usage: { ...usage, input_token_details: details } });
    },
    failed: () => {
      const error = { message: broken, type: 'InternalServerError', param: null, code: 500 };
      return event('speech.audio.error', { error });
    },
  },
  // What goes wrong after the head of a stream has been sent is told in its last event.
  faults: { events: { ...eventFaults, server: ['first-audio', 'answer', 'mid-audio', 'end'] } },
};
const broken = 'Speech generation failed.';

function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** Counted when the clip is finished, so a streamed answer has them in its last event only. */
function tokenHeaders(clip: SpokenClip): Record<string, string> {
  const { input_tokens: input, output_tokens: output, total_tokens: total } = speechUsage(clip);
  return {
    'x-vllm-omni-input-tokens': String(input),
    'x-vllm-omni-output-tokens': String(output),
    'x-vllm-omni-total-tokens': String(total),
  };
}

function answer(server: ProviderServer, exchange: Exchange, speak: () => void): void {
  const { incoming, url, entry } = exchange;
  const { method } = entry;
  const key = bearerKey(incoming.headers.authorization);
  // Keys are checked only by a server that was started with one.
  const open = key === undefined && server.options.credentials === undefined;
  const refused = server.strike(entry, 'answer', 'auth') !== undefined;
  const lists: ReadonlyMap<string, object> = new Map([
    ['/v1/audio/voices', { voices }],
    ['/v1/models', { object: 'list', data: [{ id: servedModel, object: 'model' }] }],
    ['/health', {}],
  ]);
  const list = lists.get(url.pathname);
  if (refused || !(open || server.accepts(key))) {
    entry.error = 'Unauthorized';
    replyJson(exchange, 401, { error: 'Unauthorized' });
  } else if (url.pathname === speechPath && method === 'POST') {
    speak();
  } else if (list !== undefined && (method === 'GET' || method === 'HEAD')) {
    replyJson(exchange, 200, list);
  } else {
    const known = list !== undefined || url.pathname === speechPath;
    const detail = known ? 'Method Not Allowed' : 'Not Found';
    entry.error = detail;
    replyJson(exchange, known ? 405 : 404, { detail });
  }
}

function refusePlanted(server: ProviderServer, exchange: Exchange): boolean {
  const struck = server.strike(exchange.entry, 'answer', 'quota', 'rate-limit', 'server');
  // The first two are a proxy's: the server counts nothing.
  if (struck === 'quota') fail(exchange, 402, 'Payment Required', 'PaymentRequired');
  else if (struck === 'rate-limit') {
    fail(exchange, 429, 'Too Many Requests', 'RateLimitError', { 'retry-after': '1' });
  } else if (struck === 'server') fail(exchange, 500, broken, 'InternalServerError');
  return struck !== undefined;
}

function read(
  server: ProviderServer,
  exchange: Exchange,
  planted: PlantedRefusal | undefined,
): SpeechRequest | undefined {
  const problem = (message: string): undefined => fail(exchange, 400, message, 'BadRequestError');
  const fields = jsonFields(exchange);
  if (fields === undefined) return problem('The body of the request is no JSON object.');
  const check = new FieldCheck(fields);
  check.required('input');
  check.text('model', 'input', 'voice');
  check.oneOf('response_format', speechFormats, 'literal_error');
  check.oneOf('stream_format', ['audio', 'sse'], 'literal_error');
  check.number('speed', 0.25, 4);
  check.flag('stream');
  const [issue] = check.issues;
  if (issue !== undefined) return problem(`${issue.loc.at(-1)}: ${issue.msg}`);
  const {
    model = servedModel,
    voice = voices[0]!,
    input,
  } = fields as Readonly<Record<string, string>>;
  if (model.startsWith('unknown')) {
    return fail(exchange, 404, `The model \`${model}\` does not exist.`, 'NotFoundError');
  }
  if (planted === 'too-long') {
    return problem(`The input is too long: it exceeds the maximum length of ${tokensMax} tokens.`);
  }
  if (planted === 'bad-voice' || !offersVoice(voices, voice)) {
    const others = voices.filter((name) => name !== voice).join(', ');
    return problem(`Invalid voice '${voice}'. Supported: ${others}`);
  }
  const format = (fields['response_format'] ?? 'wav') as SpeechFormat;
  const delivery = deliveryOf(fields);
  if (delivery !== 'whole') {
    if (format !== 'pcm' && format !== 'wav') {
      return problem(`Streaming supports the formats pcm and wav, not ${format}.`);
    }
    if ((fields['speed'] ?? 1) !== 1) return problem('Streaming supports the speed 1.0 only.');
  }
  const obstacle = formatObstacle(server, format, false);
  if (obstacle !== undefined) return problem(obstacle);
  return { input: input!, voice, format, delivery };
}

function deliveryOf(fields: Readonly<Record<string, unknown>>): SpeechRequest['delivery'] {
  if (fields['stream_format'] === 'audio') return 'stream';
  return fields['stream_format'] === 'sse' || fields['stream'] === true ? 'events' : 'whole';
}

function fail(
  exchange: Exchange,
  code: number,
  message: string,
  type: string,
  headers: Record<string, string> = {},
): undefined {
  exchange.entry.error = type;
  replyJson(exchange, code, { error: { message, type, param: null, code } }, headers);
}
