import type { Alarm } from '../clock/clock.ts';
import {
  type DashScopeTask,
  dashScopeService,
  failureMessage,
  missingTaskParameter,
  type TaskOutput,
  type TaskStart,
} from './dashscope-task.ts';
import { type DialogueOptions, defaultScript, ScriptPlace } from './dialogue-script.ts';
import type { FaultTable } from './planted-fault.ts';
import { type OpenRequest, ServiceServer } from './provider-server.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import type { ServiceStandIn } from './stand-in-contract.ts';
import { VoicedAudio } from './voiced-audio.ts';
import { type Conversation, strikeConversation } from './wordless-faults.ts';

/**
 * Paraformer on DashScope's inference WebSocket: real-time recognition that understands what its script says
 * (EchoKit device protocol reference, sections 7.4 and 9.2; messages as Alibaba Cloud documents them). It
 * hears when somebody speaks and when not; the words are those of the script.
 *
 * While somebody speaks a result comes for every 0.5 s of voice, with as many words as may have been said,
 * never all of them. 0.8 s of silence end the sentence.
 */
export function createParaformerStandIn(options: DialogueOptions): ServiceStandIn {
  const server = new ServiceServer('paraformer', options, connectMs);
  const { turns, recognitionMs } = options.script ?? defaultScript;
  const listener = new ScriptedListener(new ScriptPlace(turns));
  return server.offer(
    dashScopeService(
      server,
      recognitionFaults,
      (start) => new RecognitionTask(server, start, listener, recognitionMs),
    ),
  );
}

/** `first-audio` is the first result, `mid-audio` a later one, `end` the end of the task. */
export const recognitionFaults: FaultTable = {
  auth: ['answer'],
  quota: ['answer'],
  'rate-limit': ['answer'],
  timeout: ['first-audio', 'answer', 'mid-audio', 'end'],
  server: ['first-audio', 'answer', 'mid-audio', 'end'],
  protocol: ['first-audio', 'answer', 'mid-audio', 'end'],
  cut: ['mid-audio', 'answer', 'first-audio', 'end'],
  'early-end': ['mid-audio', 'end'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio', 'end'],
};

/** Code and message of a `task-failed`. */
const failures = {
  auth: ['InvalidApiKey', 'Invalid API-key provided.'],
  quota: ['Arrearage', 'Access denied, please make sure your account is in good standing.'],
  'rate-limit': ['Throttling.RateQuota', 'Requests rate limit exceeded, please try again later.'],
  timeout: ['CLIENT_ERROR', 'request timeout after 23 seconds.'],
  server: ['InternalError', 'An internal error has occurred.'],
} as const;

const connectMs = 120;
const silenceMaxUs = 23_000_000;
const models = /^paraformer-realtime(?:-8k)?-v[12]$/;
/** Less voice is a click. */
const voiceMs = 100;
/** Voice between two results. */
const resultMs = 500;
/** Silence that ends a sentence, the service's own default. */
const sentenceSilenceMs = 800;
const wordsPerSecond = 2.5;

/** An utterance that was not understood to its end is said again: the same turn of the script. */
class ScriptedListener {
  readonly #place: ScriptPlace;
  #unfinished: string | undefined;

  constructor(place: ScriptPlace) {
    this.#place = place;
  }

  begin(): string {
    this.#unfinished ??= this.#place.turn().heard;
    return this.#unfinished;
  }

  finish(): void {
    this.#unfinished = undefined;
  }
}

class RecognitionTask implements DashScopeTask {
  readonly id: string;
  readonly entry: OpenRequest;
  readonly #server: ServiceServer;
  readonly #payload: Payload;
  readonly #output: TaskOutput;
  readonly #listener: ScriptedListener;
  readonly #recognitionMs: number;
  #audio = new VoicedAudio(16_000);
  #started = false;
  #inputEnded = false;
  #over = false;
  #muted = false;
  /** Of the sentence that is being spoken. */
  #heard: string | undefined;
  #results = 0;
  #allResults = 0;
  /** Results that are still to come. */
  #pending = 0;
  readonly #alarms = new Set<Alarm>();
  #silence: Alarm | undefined;

  constructor(
    server: ServiceServer,
    { id, payload, entry, output }: TaskStart,
    listener: ScriptedListener,
    recognitionMs: number,
  ) {
    this.id = id;
    this.entry = entry;
    this.#server = server;
    this.#payload = payload as Payload;
    this.#output = output;
    this.#listener = listener;
    this.#recognitionMs = recognitionMs;
  }

  get muted(): boolean {
    return this.#muted;
  }

  start(): void {
    const planted = this.#server.strike(this.entry, 'answer');
    if (planted !== undefined) {
      this.#struck(planted, 'answer');
      return;
    }
    const rateHz = rateOf(this.#payload);
    if (typeof rateHz === 'string') {
      this.fail('InvalidParameter', rateHz);
      return;
    }
    this.#audio = new VoicedAudio(rateHz);
    this.#started = true;
    this.#send('task-started', {});
    this.#restartSilenceTimer();
  }

  take(action: string | undefined): void {
    if (this.#over) return;
    if (action !== 'finish-task') {
      this.fail('InvalidParameter', `Action ${action ?? 'none'} is not known.`);
    } else if (!this.#started || this.#inputEnded) {
      this.fail('InvalidParameter', 'The task takes no finish-task now.');
    } else {
      this.#inputEnded = true;
      this.#endSentence();
      this.#finishWhenDue();
    }
  }

  hear(audio: Buffer): void {
    if (this.#over) return;
    if (!this.#started || this.#inputEnded) {
      this.fail('InvalidParameter', 'The task takes no audio now.');
      return;
    }
    this.#restartSilenceTimer();
    for (const window of this.#audio.push(audio)) {
      if (this.#over) break;
      if (this.#heard === undefined && window.voicedMs >= voiceMs) {
        this.#heard = this.#listener.begin();
      }
      if (this.#heard === undefined) continue;
      if (window.silentMs >= sentenceSilenceMs) this.#endSentence();
      else if (window.voicedMs >= (this.#results + 1) * resultMs) this.#interim(window.voicedMs);
    }
    this.entry.heardSeconds = this.#audio.seconds;
  }

  fail(code: string, message: string): void {
    if (this.#over) return;
    this.entry.error = code;
    this.stop('answered');
    this.#output.send(failureMessage(this.id, code, message));
    this.#output.closed();
  }

  stop(outcome: 'answered' | 'aborted' | 'cut'): void {
    this.#halt();
    this.#server.conclude(this.entry, outcome);
  }

  #halt(): void {
    this.#over = true;
    this.#silence?.cancel();
    for (const alarm of this.#alarms) alarm.cancel();
  }

  #interim(voicedMs: number): void {
    this.#results += 1;
    const words = wordsOf(this.#heard!);
    const said = Math.floor((voicedMs / 1000) * wordsPerSecond);
    const count = Math.min(Math.max(said, 1), words.length - 1);
    // The first word is only told together with the end when there is no other.
    if (count > 0) this.#tell(words.slice(0, count).join('').trim(), false);
  }

  #endSentence(): void {
    const heard = this.#heard;
    if (heard === undefined) return;
    const place = this.#audio.sentence;
    this.#heard = undefined;
    this.#results = 0;
    this.#audio.beginSentence();
    this.#pending += 1;
    const alarm = this.#server.options.clock.after(Math.round(this.#recognitionMs * 1000), () => {
      this.#alarms.delete(alarm);
      this.#pending -= 1;
      this.#listener.finish();
      this.#tell(heard, true, place);
      this.entry.text = [this.entry.text, heard].filter((text) => text !== undefined).join(' ');
      this.#finishWhenDue();
    });
    this.#alarms.add(alarm);
  }

  #tell(text: string, isEnd: boolean, place = this.#audio.sentence): void {
    if (this.#over) return;
    const moment = this.#allResults === 0 ? 'first-audio' : 'mid-audio';
    this.#allResults += 1;
    const planted = this.#server.strike(this.entry, moment);
    if (planted !== undefined) {
      this.#struck(planted, moment);
      return;
    }
    const { beginMs, endMs } = place;
    const sentence = {
      begin_time: beginMs,
      end_time: isEnd ? endMs : null,
      text,
      heartbeat: false,
      sentence_end: isEnd,
      words: timedWords(text, beginMs, endMs),
    };
    const usage = isEnd ? { duration: Math.ceil(this.#audio.seconds) } : null;
    this.#send('result-generated', { output: { sentence }, usage });
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
      fail: (fault) => {
        const [code, message] =
          failures[fault in failures ? (fault as keyof typeof failures) : 'server'];
        this.fail(code, message);
      },
    };
    strikeConversation(conversation, kind, moment);
  }

  #finishWhenDue(): void {
    if (this.#over || !this.#inputEnded || this.#pending > 0) return;
    const struck = this.#server.strike(this.entry, 'end');
    if (struck === undefined) this.#finish();
    else this.#struck(struck, 'end');
  }

  #finish(): void {
    this.stop('answered');
    this.#send('task-finished', { output: {}, usage: null });
    this.#output.finished();
  }

  #send(event: string, payload: object): void {
    this.#output.send({ header: { task_id: this.id, event, attributes: {} }, payload });
  }

  #restartSilenceTimer(): void {
    this.#silence?.cancel();
    this.#silence = this.#server.options.clock.after(silenceMaxUs, () =>
      this.fail(...failures.timeout),
    );
  }
}

interface Payload {
  readonly model?: unknown;
  readonly task_group?: unknown;
  readonly task?: unknown;
  readonly function?: unknown;
  readonly parameters?: {
    readonly format?: unknown;
    readonly sample_rate?: unknown;
  } | null;
}

/** The sample rate of a `run-task`, or the words in which it is refused. */
function rateOf(payload: Payload): number | string {
  const missing = missingTaskParameter(payload);
  if (missing !== undefined) return missing;
  const { task, function: name, parameters } = payload;
  if (task !== 'asr' || name !== 'recognition') return 'task can not be null';
  if (!models.test(String(payload.model))) return `Model not exist: ${String(payload.model)}`;
  const { format, sample_rate: rateHz } = parameters ?? {};
  if (format !== 'pcm') {
    return `This stand-in hears pcm only, and ${String(format)} was announced. Set format to pcm.`;
  }
  if (typeof rateHz !== 'number' || rateHz < 8000 || rateHz > 48_000) {
    return "Missing required parameter 'payload.parameters.sample_rate'! Please follow the protocol!";
  }
  return rateHz;
}

/** With the space behind each; a Han character is a word. */
function wordsOf(text: string): string[] {
  return text.match(/\p{Script=Han}[^\p{L}\p{N}]*|[^\s\p{Script=Han}]+\s*/gu) ?? [text];
}

function timedWords(text: string, beginMs: number, endMs: number): object[] {
  const words = wordsOf(text);
  const at = (index: number): number =>
    Math.round(beginMs + ((endMs - beginMs) * index) / words.length);
  return words.map((word, i) => {
    const punctuation = /[^\p{L}\p{N}\s]+(?=\s*$)/u.exec(word)?.[0] ?? '';
    return {
      begin_time: at(i),
      end_time: at(i + 1),
      text: word.trim().slice(0, word.trim().length - punctuation.length),
      punctuation,
    };
  });
}
