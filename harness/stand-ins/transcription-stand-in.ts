import type { Alarm } from '../clock/clock.ts';
import { badRequest, readModel } from './chat-request.ts';
import { type DialogueOptions, defaultScript, ScriptPlace } from './dialogue-script.ts';
import { type FormPart, parseForm } from './multipart-form.ts';
import { answerOpenAi, openAiHeaders, refuseOpenAi, refusePlanted } from './openai-answers.ts';
import { answerFaults, type FaultTable } from './planted-fault.ts';
import { type Exchange, reply, replyJson, ServiceServer } from './provider-server.ts';
import type { ServiceStandIn } from './stand-in-contract.ts';
import { readUploadedWav } from './uploaded-wav.ts';
import { breakOff, strikeAnswer } from './wordless-faults.ts';

/** The whole transcript is one piece: what happens to it happens in its place. */
const transcriptFaults: FaultTable = {
  ...answerFaults,
  cut: ['mid-audio', 'answer'],
  'early-end': ['mid-audio'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer'],
};

const path = '/v1/audio/transcriptions';
const connectMs = 120;
const models = ['whisper-1', 'gpt-4o-transcribe', 'gpt-4o-mini-transcribe'];
const fileBytesMax = 26_214_400;
const secondsMin = 0.1;
const extensions = 'flac m4a mp3 mp4 mpeg mpga oga ogg wav webm'.split(' ');

/**
 * OpenAI's transcription of uploaded files, which understands what its script says (EchoKit device
 * protocol reference, sections 7.2, 7.3 and 9.2).
 */
export function createTranscriptionStandIn(options: DialogueOptions): ServiceStandIn {
  const server = new ServiceServer('transcription', options, connectMs);
  const script = options.script ?? defaultScript;
  const listener = new ScriptedListener(new ScriptPlace(script.turns));
  return server.offer({
    isCounted: (method, target) => method === 'POST' && target === path,
    answer: (exchange) => {
      describeBody(exchange);
      server.expose(exchange.entry, transcriptFaults);
      if (strikeAnswer(server, exchange)) return;
      const routes = new Map([
        [
          path,
          () => {
            if (refusePlanted(server, exchange)) return;
            const request = readRequest(exchange);
            if (request !== undefined) {
              transcribe(
                server,
                exchange,
                request,
                listener.hear(request.audio),
                script.recognitionMs,
              );
            }
          },
        ],
      ]);
      answerOpenAi(server, exchange, { routes, models });
    },
  });
}

/**
 * Knows which turn of the script a recording belongs to. EchoKit sends an utterance that goes on
 * again from its beginning, and a recording that was not answered in time once more: what begins
 * with the recording before is still the same turn.
 */
class ScriptedListener {
  readonly #place: ScriptPlace;
  #previous: Buffer | undefined;
  #text = '';

  constructor(place: ScriptPlace) {
    this.#place = place;
  }

  hear(audio: Buffer): string {
    const previous = this.#previous;
    const grown =
      previous !== undefined &&
      previous.length > 0 &&
      audio.subarray(0, previous.length).equals(previous);
    if (!grown) this.#text = this.#place.turn().heard;
    this.#previous = audio;
    return this.#text;
  }
}

interface TranscriptionRequest {
  /** Samples of a WAV; of other files everything. */
  readonly audio: Buffer;
  /** Of a WAV; the length of other files is not known here. */
  readonly seconds: number | undefined;
  readonly format: 'json' | 'text' | 'verbose_json';
  readonly language: string;
}

function transcribe(
  server: ServiceServer,
  exchange: Exchange,
  { seconds = 0, format, language }: TranscriptionRequest,
  heard: string,
  recognitionMs: number,
): void {
  const { entry, response } = exchange;
  const { share = 1 } = server.faultOf(entry) ?? {};
  const struck = server.strike(entry, 'mid-audio') ?? server.strike(entry, 'first-audio');
  if (struck === 'stall') return;
  const words = heard.split(/(?<=\s)/);
  const text =
    struck === 'empty'
      ? ''
      : struck === 'early-end'
        ? words
            .slice(0, Math.floor(words.length * share))
            .join('')
            .trim()
        : heard;
  const alarm: Alarm = server.options.clock.after(Math.round(recognitionMs * 1000), () => {
    if (struck === 'cut') {
      breakOff(server, exchange);
      return;
    }
    entry.text = text;
    const headers = openAiHeaders(exchange, Math.round(recognitionMs));
    if (format === 'text') {
      reply(exchange, 200, 'text/plain; charset=utf-8', `${text}\n`, headers);
      return;
    }
    const usage = { type: 'duration', seconds: Math.ceil(seconds) };
    const segment = {
      id: 0,
      seek: 0,
      start: 0,
      end: seconds,
      text,
      tokens: [],
      temperature: 0,
      avg_logprob: -0.2,
      compression_ratio: 1,
      no_speech_prob: 0.01,
    };
    const verbose = { task: 'transcribe', language, duration: seconds, segments: [segment] };
    const body = format === 'json' ? { text, usage } : { ...verbose, text, usage };
    replyJson(exchange, 200, body, headers);
  });
  response.once('close', () => alarm.cancel());
}

/** The request, or `undefined` after it has been refused. */
function readRequest(exchange: Exchange): TranscriptionRequest | undefined {
  const form = parseForm(exchange.incoming.headers['content-type'] ?? '', exchange.body);
  if (form === undefined) {
    return badRequest(exchange, 'The body of your request must be a complete multipart/form-data.');
  }
  const field = (name: string): string | undefined => form.get(name)?.bytes.toString();
  const model = readModel(exchange, { model: field('model') });
  if (model === undefined) return undefined;
  const file = form.get('file');
  if (file?.filename === undefined) {
    const message = "Missing required parameter: 'file'.";
    return badRequest(exchange, message, 'file', 'missing_required_parameter');
  }
  const format = readFormat(exchange, field('response_format') ?? 'json', model);
  return format && readFile(exchange, file, format, field('language') ?? 'english');
}

function readFormat(
  exchange: Exchange,
  format: string,
  model: string,
): TranscriptionRequest['format'] | undefined {
  const param = 'response_format';
  if (format === 'verbose_json' && model.startsWith('gpt-4o')) {
    const message = `response_format 'verbose_json' is not compatible with model '${model}'. Use 'json' or 'text' instead.`;
    return badRequest(exchange, message, param, 'unsupported_value');
  }
  if (format === 'json' || format === 'text' || format === 'verbose_json') return format;
  const message = `This stand-in answers with json, text and verbose_json, and "${format}" was asked for.`;
  return badRequest(exchange, message, param, 'stand_in_format');
}

function readFile(
  exchange: Exchange,
  { filename = '', bytes }: FormPart,
  format: TranscriptionRequest['format'],
  language: string,
): TranscriptionRequest | undefined {
  if (bytes.length > fileBytesMax) {
    return refuseOpenAi(exchange, 413, {
      message: `Maximum content size limit (${fileBytesMax}) exceeded (${bytes.length} bytes read)`,
      type: 'server_error',
      code: null,
    });
  }
  const wav = readUploadedWav(bytes);
  const extension = /\.(\w+)$/.exec(filename)?.[1]?.toLowerCase() ?? '';
  if (wav === undefined && (extension === 'wav' || !extensions.includes(extension))) {
    const message = `Invalid file format. Supported formats: ['${extensions.join("', '")}']`;
    return badRequest(exchange, message, 'file');
  }
  if (wav !== undefined) exchange.entry.heardSeconds = wav.seconds;
  if (wav !== undefined && wav.seconds < secondsMin) {
    const message = `Audio file is too short. Minimum audio length is ${secondsMin} seconds.`;
    return badRequest(exchange, message, 'file', 'audio_too_short');
  }
  return { audio: wav?.audio ?? bytes, seconds: wav?.seconds, format, language };
}

/** A log is no place for the bytes of a recording. */
function describeBody({ incoming, body, entry }: Exchange): void {
  const form = parseForm(incoming.headers['content-type'] ?? '', body);
  if (form === undefined) {
    entry.body = `${body.length} bytes`;
    return;
  }
  const shown = [...form].map(([name, { filename, bytes }]) => [
    name,
    filename === undefined ? bytes.toString() : `${filename}, ${bytes.length} bytes`,
  ]);
  entry.body = JSON.stringify(Object.fromEntries(shown));
}
