import type { Alarm } from '../clock/clock.ts';
import { alignCharacters } from './character-alignment.ts';
import {
  type DashScopeTask,
  dashScopeService,
  failureMessage,
  missingTaskParameter,
  type TaskOutput,
  type TaskStart,
} from './dashscope-task.ts';
import type { FaultTable } from './planted-fault.ts';
import { type OpenRequest, ProviderServer } from './provider-server.ts';
import { clipLeadMs, renderClip } from './rendered-clip.ts';
import { SpeechEngine } from './speech-engine.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';
import { isLocalVoice, withoutLead } from './voice-name.ts';
import { type Conversation, strikeConversation } from './wordless-faults.ts';

/**
 * CosyVoice on DashScope's inference WebSocket (TTS provider protocol reference, section 9): tasks of
 * text frames, audio in binary frames, one task after the other on one socket. Renders `pcm`.
 *
 * One task is one request for speech, with a log entry of its own beside that of its connection.
 * Faults in mid audio strike the first sentence of a task.
 */
export function createCosyVoiceStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'cosyvoice-v2', (server) =>
    dashScopeService(server, taskFaults, (start) => new Task(server, start)),
  );
}

/** On a socket that is open already, `answer` is in the place of `task-started`. */
export const taskFaults: FaultTable = {
  auth: ['answer'],
  quota: ['answer'],
  'rate-limit': ['answer'],
  'bad-voice': ['first-audio', 'answer'],
  // Only text that has come can be too long.
  'too-long': ['first-audio', 'mid-audio'],
  timeout: ['first-audio', 'answer', 'mid-audio', 'end'],
  server: ['first-audio', 'answer', 'mid-audio', 'end'],
  protocol: ['first-audio', 'answer', 'mid-audio', 'end'],
  cut: ['mid-audio', 'answer', 'first-audio', 'end'],
  'early-end': ['mid-audio', 'end'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio', 'end'],
};

/** Code and message of a `task-failed` (section 9.5). */
const failures = {
  auth: ['InvalidApiKey', 'Invalid API-key provided.'],
  quota: ['Arrearage', 'Access denied, please make sure your account is in good standing.'],
  'rate-limit': ['Throttling.RateQuota', 'Requests rate limit exceeded, please try again later.'],
  'bad-voice': ['InvalidParameter', '[cosyvoice:]Engine return error code: 418'],
  // The same as for all bad values: there is no code of its own.
  'too-long': ['InvalidParameter', '[cosyvoice:]Engine return error code: 411'],
  timeout: ['CLIENT_ERROR', 'request timeout after 23 seconds.'],
  server: ['InternalError', 'An internal error has occurred.'],
} as const;
const silenceMaxUs = 23_000_000;
const charactersMax = { message: 20_000, task: 200_000 };
const ratesHz = [8000, 16_000, 22_050, 24_000, 44_100, 48_000];
const defaultRateHz = 22_050;

interface TaskSettings {
  readonly model: string;
  readonly voice: string;
  readonly rateHz: number;
  readonly ssml: boolean;
  readonly wordTimes: boolean;
}

class Task implements DashScopeTask {
  readonly id: string;
  readonly entry: OpenRequest;
  readonly #server: ProviderServer;
  readonly #payload: Payload;
  readonly #output: TaskOutput;
  readonly #engine: SpeechEngine;
  #settings: TaskSettings | undefined;
  #buffer = '';
  #texts = 0;
  #characters = 0;
  /** `usage.characters`: cumulative over spoken sentences, Han characters count twice. */
  #used = 0;
  #sentences = 0;
  #inputEnded = false;
  #over = false;
  #muted = false;
  #silence: Alarm | undefined;

  constructor(server: ProviderServer, { id, payload, entry, random, output }: TaskStart) {
    this.id = id;
    this.entry = entry;
    this.#server = server;
    this.#payload = payload as Payload;
    this.#engine = new SpeechEngine(server, entry, random);
    this.#output = output;
  }

  /** Nothing more is sent, but the socket stays open. */
  get muted(): boolean {
    return this.#muted;
  }

  start(): void {
    const planted = this.#server.strike(this.entry, 'answer');
    if (planted !== undefined) {
      this.#struck(planted, 'answer');
    } else {
      const settings = settingsOf(this.#payload);
      if (typeof settings === 'string') {
        this.fail('InvalidParameter', settings);
        return;
      }
      this.#settings = settings;
      this.#send('task-started', {});
      this.#restartSilenceTimer();
      // EchoKit sends the whole text here (section 3.2).
      const text = this.#payload.input?.text;
      if (typeof text === 'string' && text !== '') this.#takeText(text);
    }
  }

  take(action: string | undefined, given: object): void {
    const payload = given as Payload;
    if (this.#over) return;
    if (action !== 'continue-task' && action !== 'finish-task') {
      this.fail('InvalidParameter', `Action ${action ?? 'none'} is not known.`);
    } else if (this.#inputEnded) {
      this.fail('InvalidParameter', `The task takes no ${action} after finish-task.`);
    } else if (action === 'finish-task') {
      this.#restartSilenceTimer();
      this.#inputEnded = true;
      if (this.#buffer.trim() !== '') this.#speak(this.#buffer);
      this.#buffer = '';
      this.#finishWhenDue();
    } else if (payload.input?.flush === true) {
      this.#restartSilenceTimer();
      if (this.#buffer.trim() !== '') this.#speak(this.#buffer);
      this.#buffer = '';
    } else if (typeof payload.input?.text === 'string') {
      this.#takeText(payload.input.text);
    } else {
      const message =
        "Missing required parameter 'payload.input.text'! Please follow the protocol!";
      this.fail('InvalidParameter', message);
    }
  }

  fail(code: string, message: string): void {
    if (this.#over) return;
    this.entry.error = code;
    this.stop('answered');
    this.#output.send(failureMessage(this.id, code, message));
    this.#output.closed();
  }

  /** Forgets everything planned. */
  stop(outcome: 'answered' | 'aborted' | 'cut'): void {
    this.#halt();
    this.#server.conclude(this.entry, outcome);
  }

  #halt(): void {
    this.#over = true;
    this.#silence?.cancel();
    this.#engine.stop();
  }

  #takeText(text: string): void {
    this.#restartSilenceTimer();
    this.#texts++;
    const characters = [...text].length;
    this.#characters += characters;
    if (this.#settings?.ssml === true && this.#texts > 1) {
      this.fail('InvalidParameter', 'Text request limit violated, expected 1.');
      return;
    }
    if (characters > charactersMax.message || this.#characters > charactersMax.task) {
      this.#failAs('too-long');
      return;
    }
    const { sentences, rest } = splitSentences(this.#buffer + text);
    this.#buffer = rest;
    for (const sentence of sentences) if (!this.#over) this.#speak(sentence);
  }

  /**
   * Speaks one sentence. It pays its first-byte time while the one before is being delivered, and
   * follows it after one gap.
   */
  #speak(text: string): void {
    const { options, profile } = this.#server;
    const { voice, rateHz, model } = this.#settings!;
    const index = this.#sentences++;
    if (index === 0) {
      const refusals = ['bad-voice', 'too-long', 'server'] as const;
      const planted = this.#server.strike(this.entry, 'first-audio', ...refusals);
      if (planted !== undefined) this.#failAs(planted);
      else if (!matches(voice, model)) this.#failAs('bad-voice');
      if (this.#over) return;
    }
    // Flite is silent about a text that begins with an ellipsis.
    const spoken = text.replace(/^[^\p{L}\p{N}]+/u, '');
    const clip = renderClip(options.voice, spoken, voice, rateHz, profile);
    if (clip.length === 0) {
      this.fail('InvalidParameter', 'Please ensure input text is valid.');
      return;
    }
    const typed = !model.startsWith('cosyvoice-v1');
    const sentence = { index, words: [] };
    const format = { codec: 'pcm', rateHz } as const;
    const passage = { clip, format, profile, label: 'sentence' };
    this.#engine.say(passage, {
      begin: () => {
        if (!typed) return;
        this.#result({ output: { type: 'sentence-begin', original_text: text, sentence } });
      },
      chunk: (audio) => {
        this.#restartSilenceTimer();
        // The first generation times nothing: the form of the older captures (section 9.3).
        if (typed) this.#result({ output: { type: 'sentence-synthesis', sentence } });
        else this.#result({ output: { sentence: { words: [] } } });
        this.#output.audio(audio);
      },
      end: () => {
        this.#used += billedCharacters(text);
        if (typed) {
          const words = this.#settings!.wordTimes
            ? wordsOf(text, clipLeadMs(profile, voice), (clip.length * 500) / rateHz)
            : [];
          const output = { type: 'sentence-end', original_text: text, sentence: { index, words } };
          this.#result({ output, usage: { characters: this.#used } });
        }
        this.#finishWhenDue();
      },
      struck: (kind, moment) => this.#struck(kind, moment),
    });
  }

  #struck(kind: StandInFaultKind, moment: FaultMoment): void {
    const conversation: Conversation = {
      mute: () => {
        this.#halt();
        this.#muted = true;
      },
      cut: () => {
        this.stop('cut');
        this.#output.cut();
      },
      garble: () => this.#output.garble(),
      finish: () => this.#finish(),
      leave: () => {
        this.stop('answered');
        this.#output.closed();
      },
      fail: (fault) => this.#failAs(fault),
    };
    strikeConversation(conversation, kind, moment);
  }

  #failAs(kind: StandInFaultKind): void {
    const [code, message] = failures[kind in failures ? (kind as keyof typeof failures) : 'server'];
    this.fail(code, message);
  }

  #finishWhenDue(): void {
    if (this.#over || !this.#inputEnded || this.#engine.busy) return;
    if (this.#sentences === 0) {
      this.fail('InvalidParameter', 'Please ensure input text is valid.');
      return;
    }
    const struck = this.#server.strike(this.entry, 'end');
    if (struck === undefined) this.#finish();
    else this.#struck(struck, 'end');
  }

  #finish(): void {
    this.stop('answered');
    const output = { sentence: { words: [] } };
    this.#send('task-finished', { output, usage: { characters: this.#used } });
    this.#output.finished();
  }

  #result(payload: object): void {
    this.#send('result-generated', payload);
  }

  #send(event: string, payload: object): void {
    const attributes = event === 'task-started' ? {} : { request_uuid: this.id };
    this.#output.send({ header: { task_id: this.id, event, attributes }, payload });
  }

  #restartSilenceTimer(): void {
    this.#silence?.cancel();
    this.#silence = this.#server.options.clock.after(silenceMaxUs, () => this.#failAs('timeout'));
  }
}

interface Payload {
  readonly model?: unknown;
  readonly task_group?: unknown;
  readonly task?: unknown;
  readonly function?: unknown;
  readonly parameters?: Readonly<Record<string, unknown>> | null;
  readonly input?: { readonly text?: unknown; readonly flush?: unknown } | null;
}

/** The settings of a `run-task` (section 9.2), or the words in which they are refused. */
function settingsOf(payload: Payload): TaskSettings | string {
  const missing = missingTaskParameter(payload);
  if (missing !== undefined) return missing;
  const model = String(payload.model);
  const { voice, format, sample_rate, enable_ssml, word_timestamp_enabled, ...numbers } =
    payload.parameters ?? {};
  if (typeof voice !== 'string' || voice === '' || voice.startsWith('unknown')) {
    return 'Request voice is invalid!';
  }
  if (format !== 'pcm') {
    return `This stand-in renders pcm only, and ${format === undefined || format === 'Default' ? 'mp3 (the default of the API)' : String(format)} was asked for. Set format to pcm.`;
  }
  // The SDKs write 0 for a rate that was left out.
  const rateHz = Number(sample_rate || defaultRateHz);
  const { volume = 50, rate = 1, pitch = 1 } = numbers;
  const within = (value: unknown, minimum: number, maximum: number): boolean =>
    typeof value === 'number' && value >= minimum && value <= maximum;
  if (
    !ratesHz.includes(rateHz) ||
    !within(volume, 0, 100) ||
    !within(rate, 0.5, 2) ||
    !within(pitch, 0.5, 2)
  ) {
    return '[cosyvoice:]Engine return error code: 411';
  }
  const ssml = enable_ssml === true;
  if (ssml && model.startsWith('cosyvoice-v1')) return 'SSML text is not supported at the moment!';
  return { model, voice, rateHz, ssml, wordTimes: word_timestamp_enabled === true };
}

/** Voice and model must be of the same generation (section 9.6); the stand-in's own fit all. */
function matches(name: string, model: string): boolean {
  if (isLocalVoice(name)) return true;
  const voice = withoutLead(name);
  const generation = /^cosyvoice-v(\d)/.exec(model)?.[1];
  // A cloned voice is named after its model.
  if (voice.startsWith('cosyvoice-')) return voice.startsWith(model);
  return voice.endsWith('_v2') === (generation === '2');
}

/**
 * Complete sentences, and what has to wait for more text. A full stop between digits ends nothing,
 * and one behind a digit may still become one.
 */
function splitSentences(text: string): { sentences: string[]; rest: string } {
  const ends = /[。！？；…\n]+[”’」』)）]*|(?:[!?]|(?<!\d)\.|\.(?=\s))+["'”’)]*(?=\s|$)\s*/gu;
  const sentences: string[] = [];
  let from = 0;
  for (const match of text.matchAll(ends)) {
    const to = match.index + match[0].length;
    const sentence = text.slice(from, to);
    // Marks without a word are part of what follows.
    if (!/[\p{L}\p{N}]/u.test(sentence)) continue;
    sentences.push(sentence);
    from = to;
  }
  return { sentences, rest: text.slice(from) };
}

function billedCharacters(text: string): number {
  let count = 0;
  for (const character of text) count += /\p{Script=Han}/u.test(character) ? 2 : 1;
  return count;
}

function wordsOf(text: string, leadMs: number, totalMs: number): object[] {
  const { characters, startMs, durationMs } = alignCharacters(text, leadMs, totalMs);
  return characters.flatMap((character, i) =>
    /[\p{L}\p{N}]/u.test(character)
      ? [
          {
            text: character,
            begin_index: i,
            end_index: i + 1,
            begin_time: Math.round(startMs[i]!),
            end_time: Math.round(startMs[i]! + durationMs[i]!),
          },
        ]
      : [],
  );
}
