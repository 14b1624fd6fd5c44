import type { Random } from '../random/random.ts';
import type { AudioFormat } from './audio-format.ts';
import { alignClip, camelCaseAlignment } from './elevenlabs-alignment.ts';
import {
  elevenLabsModels,
  lengthProblem,
  plantedProblem,
  refusedAtText,
  type SocketProblem,
  voiceProblem,
} from './elevenlabs-protocol.ts';
import type { OpenRequest, ProviderServer } from './provider-server.ts';
import { renderClip, spokenSpan } from './rendered-clip.ts';
import { SpeechEngine } from './speech-engine.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';

const defaultSchedule = [120, 160, 250, 290];
const tryTriggerCharactersMin = 50;

export interface ContextSettings {
  readonly voice: string;
  readonly model: string;
  readonly format: AudioFormat;
  readonly autoMode: boolean;
  readonly syncAlignment: boolean;
  readonly inactivitySeconds: number;
}

export interface ContextListener {
  audio(message: object): void;
  /** A generation has been sent to its end. */
  generated(): void;
  /** A planted fault strikes now. */
  struck(kind: StandInFaultKind, moment: FaultMoment): void;
}

/** Why to speak what is buffered before the schedule says so. */
export interface GenerationHints {
  readonly flush?: unknown;
  readonly try_trigger_generation?: unknown;
}

/**
 * One stream of text that becomes speech by the buffering rules of `stream-input` and
 * `multi-stream-input` (TTS provider protocol reference, section 6.2): generation starts when the
 * buffer reaches the current entry of the schedule, or when it is told to.
 */
export class SpeechContext {
  readonly #server: ProviderServer;
  readonly #entry: OpenRequest;
  readonly #settings: ContextSettings;
  readonly #listener: ContextListener;
  readonly #engine: SpeechEngine;
  #buffer = '';
  #schedule: readonly number[] = defaultSchedule;
  #characters = 0;

  constructor(
    server: ProviderServer,
    entry: OpenRequest,
    random: Random,
    settings: ContextSettings,
    listener: ContextListener,
  ) {
    this.#server = server;
    this.#entry = entry;
    this.#settings = settings;
    this.#listener = listener;
    this.#engine = new SpeechEngine(server, entry, random);
  }

  /** Whether audio is still to come. */
  get busy(): boolean {
    return this.#engine.busy;
  }

  /** Takes a generation config; false when it is wrong. */
  configure(config: unknown): boolean {
    const schedule = (config as { chunk_length_schedule?: unknown } | null | undefined)
      ?.chunk_length_schedule;
    if (schedule === undefined || schedule === null) return true;
    const valid =
      Array.isArray(schedule) &&
      schedule.length > 0 &&
      schedule.every((entry) => typeof entry === 'number' && entry >= 50 && entry <= 500);
    if (valid) this.#schedule = schedule;
    return valid;
  }

  /** Buffers text; white space alone is not part of what is spoken. */
  append(text: string): SocketProblem | undefined {
    if (text.trim() === '') return undefined;
    this.#characters += [...text].length;
    const { voice, model } = this.#settings;
    const planted = this.#server.strike(this.#entry, 'first-audio', ...refusedAtText);
    if (planted !== undefined) return this.problemOf(planted);
    if (voice.startsWith('unknown')) return voiceProblem(voice);
    const limit = elevenLabsModels.get(model)!.charactersMax;
    if (this.#characters > limit) return lengthProblem(this.#characters, limit, model);
    this.#buffer += text;
    return undefined;
  }

  /** How a planted fault is told. */
  problemOf(kind: StandInFaultKind): SocketProblem {
    const { voice, model, inactivitySeconds } = this.#settings;
    return plantedProblem(kind, { voice, model, waitSeconds: inactivitySeconds });
  }

  /** Speaks what is buffered when that is due. */
  generateWhenDue(hints: GenerationHints): void {
    const { length: last } = this.#schedule;
    const due = this.#schedule[Math.min(this.#engine.passages, last - 1)]!;
    const length = [...this.#buffer].length;
    const ready =
      hints.flush === true ||
      this.#settings.autoMode ||
      length >= due ||
      (hints.try_trigger_generation === true && length > tryTriggerCharactersMin);
    if (ready && this.#buffer !== '') this.#generate();
  }

  /** Forgets the text that has not been given to the engine. */
  dropBuffer(): void {
    this.#buffer = '';
  }

  /** Forgets everything planned. */
  stop(): void {
    this.#engine.stop();
  }

  #generate(): void {
    const text = this.#buffer;
    this.#buffer = '';
    const { options, profile } = this.#server;
    const { format, voice, syncAlignment } = this.#settings;
    const { rateHz } = format;
    const clip = renderClip(options.voice, text, voice, rateHz, profile);
    const span = spokenSpan(clip, rateHz, profile, voice);
    const { sent, normalized } = alignClip(text, span);
    this.#engine.say(
      { clip, format, profile, label: 'generation' },
      {
        chunk: (audio, { fromMs, toMs }) => {
          // Without sync_alignment the first chunk carries the timing of the whole generation.
          const window = syncAlignment
            ? { fromMs, toMs }
            : { fromMs: 0, toMs: Number.POSITIVE_INFINITY };
          const timed = syncAlignment || fromMs === 0;
          this.#listener.audio({
            audio: audio.toString('base64'),
            isFinal: null,
            normalizedAlignment: timed ? camelCaseAlignment(normalized, window) : null,
            alignment: timed ? camelCaseAlignment(sent, window) : null,
          });
        },
        end: () => this.#listener.generated(),
        struck: (kind, moment) => this.#listener.struck(kind, moment),
      },
    );
  }
}
