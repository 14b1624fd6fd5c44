/**
 * The conversation with one board: its connections, its turns, its history. One per device id, kept
 * for as long as the server runs (EchoKit device protocol reference, section 7).
 */
import { setMaxListeners } from 'node:events';
import type { SpeechSession } from '../../adapters/speech-adapter.ts';
import type { Clock } from '../clock/clock.ts';
import { FollowingController } from '../clock/following-controller.ts';
import type { Opus } from '../opus/opus-codec.ts';
import type { VoiceDetection, VoiceDetector } from '../voice-detection/voice-detection.ts';
import { AsyncQueue } from './async-queue.ts';
import { type DeviceLink, LinkRetired } from './device-link.ts';
import type { EncodingOrder } from './encoding-order.ts';
import { EndOfSpeech, SpeechLatch } from './end-of-speech.ts';
import { sendHello } from './hello.ts';
import { LiveListening } from './live-listening.ts';
import type { LiveRecognition, LiveRecognizer } from './live-recognizer.ts';
import { Recognition } from './recognition.ts';
import type { Recognizer } from './recognizer.ts';
import type { Exchange, ReplySource } from './reply-source.ts';
import { deliverSentences } from './sentence-delivery.ts';
import { SentenceSplitter } from './sentence-splitter.ts';
import type { ProviderEvent, ServerEvent } from './server-event.ts';
import { TurnLimitError } from './server-limits.ts';
import type { ServerSettings } from './server-settings.ts';
import { SpeechFramer } from './speech-framer.ts';
import { synthesize } from './synthesis.ts';
import { Utterance } from './utterance.ts';
import { Watchdog } from './watchdog.ts';

/** What a conversation needs; the same for all boards of a server. */
export interface ConversationOptions {
  readonly clock: Clock;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  readonly speech: SpeechSession;
  readonly platform: string;
  /** Of whole recordings, or one that listens while the user speaks. */
  readonly recognizer: Recognizer | LiveRecognizer;
  readonly replies: ReplySource;
  readonly hello?: Uint8Array;
  readonly settings: ServerSettings;
  /** Of all conversations of the server. */
  readonly encodingOrder: EncodingOrder;
  observe(event: ServerObservation): void;
  observeAudio(audio: AudioObservation): void;
  /** Hears of errors that only a mistake in a program can cause. The turn has failed by then. */
  onDefect(error: unknown): void;
}

export type ServerObservation =
  | ({ readonly source: 'server' } & ServerEvent)
  | ({ readonly source: 'provider' } & ProviderEvent);

/** Audio for the recording; `samples` are 16 kHz mono and only valid during the call. */
export type AudioObservation =
  /** As an adapter yielded it. */
  | {
      readonly kind: 'provider';
      readonly deviceId: string;
      readonly request: number;
      readonly samples: Int16Array;
    }
  /** As framed and written to the board, padding included. */
  | { readonly kind: 'sent'; readonly deviceId: string; readonly samples: Int16Array };

/**
 * A board forgets an utterance when no `ASR` came in its first 10 s (section 3.3). After this much
 * audio without one, what was said so far is recognised and shown …
 */
const earlyRecognitionSamples = 5 * 16_000;
/** … and after this much an empty text is shown if the recognition has not come back. */
const lastAsrSamples = 9 * 16_000;

/** Pieces of 32 ms that are listened to in one go, 1.4 ms of work; other boards must not wait longer. */
const piecesPerTurnOfTheLoop = 256;

/** How listening ended. `undefined` text: nothing was understood. */
type Heard =
  | { readonly kind: 'text'; readonly text: string | undefined }
  /** Another `StartChat`: the board has given up this utterance and begun a new one. */
  | { readonly kind: 'restarted' }
  /** The session of the connection is over, its socket is not. */
  | { readonly kind: 'over' };

interface Turn {
  readonly number: number;
  readonly mode: 'stream' | 'submit' | 'text';
  /** The first failure: its class and what happened. */
  failure?: { readonly kind: string; readonly message: string };
}

function fail(turn: Turn, kind: string, error: unknown): void {
  turn.failure ??= { kind, message: error instanceof Error ? error.message : String(error) };
}

export class Conversation {
  readonly #deviceId: string;
  readonly #options: ConversationOptions;
  readonly #detector: VoiceDetector;
  readonly #latch: SpeechLatch;
  /** Audio that came between two turns in submit mode, if that is kept. */
  #stale: Int16Array[] = [];
  #history: Exchange[] = [];
  #turns = 0;
  /** Sentences whose `StartAudio` was sent. */
  #sentences = 0;
  #turn: Turn | undefined;
  /** One per connection, as in the reference server (section 4.1). */
  #framer = new SpeechFramer(undefined);
  #current: { readonly link: DeviceLink; readonly served: Promise<void> } | undefined;

  constructor(deviceId: string, options: ConversationOptions) {
    this.#deviceId = deviceId;
    this.#options = options;
    this.#detector = options.voiceDetection.create(options.settings);
    this.#latch = new SpeechLatch(options.settings.endOfSpeech);
  }

  /** Serves a new connection. The one before it, if there is one, serves no longer. */
  attach(link: DeviceLink): void {
    const previous = this.#current;
    previous?.link.retire(
      new LinkRetired(
        'SERVER_CONNECTION_REPLACED',
        `Connection ${previous.link.connection} of ${this.#deviceId} was replaced by connection ${link.connection}.`,
      ),
    );
    const served = (previous?.served ?? Promise.resolve()).then(() => this.#serve(link));
    this.#current = { link, served };
  }

  /** Whether a connection is open. */
  get isConnected(): boolean {
    return this.#current?.link.open === true;
  }

  /** Ends the current turn and waits until nothing of it runs any more. */
  async close(): Promise<void> {
    this.#current?.link.retire(new LinkRetired('SERVER_CLOSING', 'The server is closing.'));
    await this.#current?.served;
  }

  async #serve(link: DeviceLink): Promise<void> {
    const { opus, settings } = this.#options;
    const encoder = link.query.opus
      ? opus.createEncoder({ frameSamples: settings.packetMs * 16 })
      : undefined;
    this.#framer = new SpeechFramer(encoder, settings.framing);
    try {
      if (!link.query.reconnect) {
        this.#history = [];
        if (this.#options.hello !== undefined) await sendHello(link, this.#options.hello);
      }
      for await (const mail of link.inbox) {
        if (mail.kind === 'audio') this.#takeStale(link, mail.samples);
        if (mail.kind !== 'command') continue;
        switch (mail.command.event) {
          case 'StartChat':
            await this.#spokenTurns(link);
            break;
          case 'Text':
            await this.#textTurn(link, mail.command.input);
            break;
          case 'Submit':
          case 'Select':
            await link.send({ type: 'EndResponse' }, { turn: 0 });
            break;
          case 'StartRecord':
            break;
        }
      }
    } catch (error) {
      if (!(error instanceof LinkRetired)) {
        this.#options.onDefect(error);
        return;
      }
      const turn = this.#turn;
      if (error.code !== 'SERVER_CONNECTION_CLOSED') {
        link.sendFarewell({ type: 'EndResponse' }, { turn: turn?.number ?? 0 });
      }
      if (turn !== undefined) this.#endTurn(turn, 'interrupted');
    }
  }

  /** Turns that a `StartChat` began; several when the board starts over without an answer. */
  async #spokenTurns(link: DeviceLink): Promise<void> {
    for (let again = true; again; ) {
      const turn = this.#beginTurn(link, link.query.streamAsr ? 'stream' : 'submit');
      const heard = await this.#guard(turn, () => this.#hear(link, turn));
      again = heard?.kind === 'restarted';
      // An `EndResponse` would end the utterance that the board has just begun.
      if (again) this.#endTurn(turn, 'interrupted');
      else await this.#finishTurn(link, turn, heard?.kind === 'text' ? heard.text : undefined);
      // Nothing is read any more until another connection takes over (section 2.5).
      if (heard?.kind === 'over') await untilAborted(link.signal);
    }
  }

  /** Audio between two utterances belongs to none, unless submit mode is to mix it in. */
  #takeStale(link: DeviceLink, samples: Int16Array): void {
    const { submitStartsAfresh, limits } = this.#options.settings;
    if (link.query.streamAsr || submitStartsAfresh) return;
    const kept = this.#stale.reduce((sum, { length }) => sum + length, samples.length);
    if (kept <= limits.utteranceSamples) this.#stale.push(samples);
  }

  async #textTurn(link: DeviceLink, text: string): Promise<void> {
    const turn = this.#beginTurn(link, 'text');
    this.#reportEndOfTurn(link, turn, 'Text', 0, false);
    await this.#finishTurn(link, turn, text);
  }

  #beginTurn(link: DeviceLink, mode: Turn['mode']): Turn {
    this.#turns += 1;
    const turn: Turn = { number: this.#turns, mode };
    this.#turn = turn;
    this.#report({ type: 'turnStart', connection: link.connection, turn: turn.number, mode });
    return turn;
  }

  /** Answers, if something was understood, and ends the turn on the board whatever happened. */
  async #finishTurn(link: DeviceLink, turn: Turn, text: string | undefined): Promise<void> {
    let spokenSamples = 0;
    if (text !== undefined) {
      spokenSamples = (await this.#guard(turn, () => this.#answer(link, turn, text))) ?? 0;
    }
    await link.send({ type: 'EndResponse' }, { turn: turn.number });
    if (turn.failure !== undefined) this.#endTurn(turn, 'failed');
    else this.#endTurn(turn, spokenSamples > 0 ? 'spoken' : 'empty');
  }

  #endTurn(turn: Turn, outcome: (ServerEvent & { readonly type: 'turnEnd' })['outcome']): void {
    this.#turn = undefined;
    this.#report({
      type: 'turnEnd',
      turn: turn.number,
      outcome,
      ...(turn.failure === undefined
        ? {}
        : { failure: turn.failure.kind, message: turn.failure.message }),
    });
  }

  /**
   * Runs a part of a turn. A defect must not leave the board waiting for ever, so it becomes a
   * failed turn.
   */
  async #guard<T>(turn: Turn, part: () => Promise<T>): Promise<T | undefined> {
    try {
      return await part();
    } catch (error) {
      if (error instanceof LinkRetired) throw error;
      fail(turn, 'internal', error);
      this.#options.onDefect(error);
      return undefined;
    }
  }

  #hear(link: DeviceLink, turn: Turn): Promise<Heard> {
    const { recognizer } = this.#options;
    if ('begin' in recognizer) return this.#attend(link, turn, recognizer);
    const listen = turn.mode === 'stream' ? this.#listen : this.#collect;
    return listen.call(this, link, turn, recognizer);
  }

  /** Recognition while the user speaks; in stream mode it also finds the end of speech (section 7.4). */
  async #attend(link: DeviceLink, turn: Turn, recognizer: LiveRecognizer): Promise<Heard> {
    const { settings } = this.#options;
    const isStream = turn.mode === 'stream';
    const context = { deviceId: this.#deviceId, turn: turn.number };
    let recognition: LiveRecognition;
    try {
      recognition = await recognizer.begin(
        context,
        { semanticPunctuation: isStream, onChange: () => link.wake() },
        link.signal,
      );
    } catch (error) {
      link.signal.throwIfAborted();
      fail(turn, 'recognition', error);
      if (isStream) await link.send({ type: 'EndVad' }, { turn: turn.number });
      return { kind: 'text', text: undefined };
    }
    const listening = new LiveListening(recognition, this.#detector, settings.endOfSpeech);
    const finished = (by: 'EndVad' | 'Submit' | 'Text'): void =>
      this.#reportEndOfTurn(link, turn, by, listening.receivedSamples, listening.speech);
    try {
      for (const samples of this.#stale.splice(0)) listening.push(samples);
      for (let submitted = false; !submitted && !(isStream && listening.isOver); ) {
        const mail = await nextMail(link);
        if (mail.kind === 'audio') {
          listening.push(mail.samples);
          if (this.#isTooLong(turn, listening.receivedSamples)) {
            finished('EndVad');
            if (isStream) await link.send({ type: 'EndVad' }, { turn: turn.number });
            return { kind: 'text', text: undefined };
          }
        }
        const news = isStream && !listening.isOver ? listening.news() : undefined;
        if (news !== undefined) await this.#sendAsr(link, turn, news, false);
        if (mail.kind !== 'command') continue;
        const { command } = mail;
        switch (command.event) {
          case 'StartChat':
            if (settings.restart === 'ignored') break;
            return { kind: 'restarted' };
          case 'Text':
            finished('Text');
            return { kind: 'text', text: command.input };
          case 'Submit':
            submitted = !isStream;
            if (submitted) break;
            finished('Submit');
            await link.send({ type: 'EndVad' }, { turn: turn.number });
            if (settings.submitInStreamMode === 'endsSession') return { kind: 'over' };
            return { kind: 'text', text: undefined };
          case 'Select':
          case 'StartRecord':
            break;
        }
      }
      finished(isStream ? 'EndVad' : 'Submit');
      const atOnce = settings.endVad === 'endOfSpeech';
      if (isStream && atOnce) await link.send({ type: 'EndVad' }, { turn: turn.number });
      const final = await this.#completed(link, turn, recognition, listening);
      if (isStream && !atOnce) await link.send({ type: 'EndVad' }, { turn: turn.number });
      const text = final || (settings.interimFallback ? listening.interimText : '');
      return { kind: 'text', text: text === '' ? undefined : text };
    } finally {
      recognition.cancel();
    }
  }

  /** The whole text of a live recognition; what there is of it when it fails. */
  async #completed(
    link: DeviceLink,
    turn: Turn,
    recognition: LiveRecognition,
    listening: LiveListening,
  ): Promise<string> {
    const { clock, settings } = this.#options;
    const { failure } = listening;
    if (failure !== undefined) {
      fail(turn, 'recognition', failure);
      return '';
    }
    const limitMs = settings.recognitionTimeoutMs;
    const watchdog = new Watchdog(
      clock,
      limitMs,
      link.signal,
      () => new Error(`There was no recognition after ${limitMs} ms; the server gave up on it.`),
    );
    try {
      await recognition.finish(watchdog.signal);
      return recognition.text.trim();
    } catch (error) {
      link.signal.throwIfAborted();
      fail(turn, 'recognition', error);
      return '';
    } finally {
      watchdog.stop();
    }
  }

  /** Stream mode: the server finds the end of speech (section 7.3). */
  async #listen(link: DeviceLink, turn: Turn, recognizer: Recognizer): Promise<Heard> {
    const { settings } = this.#options;
    const utterance = new Utterance(this.#detector);
    const endOfSpeech = new EndOfSpeech(settings.endOfSpeech);
    /** Of everything up to the last pause. */
    let recognition: Recognition | undefined;
    /** Of what was said when the board was about to lose patience. */
    let early: Recognition | undefined;
    let interimText = '';
    let asrSent = false;

    const showInterim = async (text: string): Promise<void> => {
      asrSent = true;
      if (text !== '') interimText = text;
      await this.#sendAsr(link, turn, text, false);
    };

    /** @returns whether the user has finished. */
    const hear = async (): Promise<boolean> => {
      let pieces = 0;
      for (let p = utterance.nextPiece(); p !== undefined; p = utterance.nextPiece()) {
        if (++pieces % piecesPerTurnOfTheLoop === 0) {
          await this.#options.clock.sleep(0, link.signal);
        }
        const step = endOfSpeech.piece(p);
        if (step === 'end') return true;
        if (step === 'pause') {
          if (recognition?.text) await showInterim(recognition.text);
          recognition?.cancel();
          recognition = this.#recognize(link, turn, recognizer, utterance.recording());
        }
      }
      return false;
    };

    const keepPatient = async (): Promise<void> => {
      if (!settings.earlyText || asrSent) return;
      if (utterance.receivedSamples < earlyRecognitionSamples) return;
      const text = recognition?.text || early?.text;
      if (text) await showInterim(text);
      else if (utterance.receivedSamples >= lastAsrSamples) await showInterim('');
      else if (early === undefined) {
        early = this.#recognize(link, turn, recognizer, utterance.recording());
        void early.over.then(() => link.wake());
      }
    };

    try {
      for (;;) {
        const mail = await nextMail(link);
        if (mail.kind === 'audio') {
          utterance.push(mail.samples);
          if (this.#isTooLong(turn, utterance.receivedSamples)) {
            const { receivedSamples } = utterance;
            this.#reportEndOfTurn(link, turn, 'EndVad', receivedSamples, endOfSpeech.speech);
            await link.send({ type: 'EndVad' }, { turn: turn.number });
            return { kind: 'text', text: undefined };
          }
          if (await hear()) break;
        }
        if (mail.kind !== 'command') {
          await keepPatient();
          continue;
        }
        const { command } = mail;
        if (command.event === 'StartChat') {
          if (settings.restart === 'ignored') continue;
          return { kind: 'restarted' };
        }
        if (command.event === 'StartRecord') continue;
        const by = command.event === 'Text' ? 'Text' : 'Submit';
        this.#reportEndOfTurn(link, turn, by, utterance.receivedSamples, endOfSpeech.speech);
        await link.send({ type: 'EndVad' }, { turn: turn.number });
        if (command.event === 'Text') return { kind: 'text', text: command.input };
        if (settings.submitInStreamMode === 'endsSession') return { kind: 'over' };
        return { kind: 'text', text: undefined };
      }

      const { speech } = endOfSpeech;
      this.#reportEndOfTurn(link, turn, 'EndVad', utterance.receivedSamples, speech);
      const atOnce = settings.endVad === 'endOfSpeech';
      if (atOnce) await link.send({ type: 'EndVad' }, { turn: turn.number });
      const final = await this.#recognized(turn, recognition);
      if (!atOnce) await link.send({ type: 'EndVad' }, { turn: turn.number });
      const text = final || (settings.interimFallback ? interimText : '');
      return { kind: 'text', text: text === '' ? undefined : text };
    } finally {
      recognition?.cancel();
      early?.cancel();
    }
  }

  /** Submit mode: the board says when the utterance is complete (section 7.2). */
  async #collect(link: DeviceLink, turn: Turn, recognizer: Recognizer): Promise<Heard> {
    const { settings } = this.#options;
    const afresh = settings.submitStartsAfresh;
    const utterance = new Utterance(this.#detector, afresh);
    const latch = afresh ? new SpeechLatch(settings.endOfSpeech) : this.#latch;
    latch.release();
    const hear = async (samples: Int16Array): Promise<void> => {
      utterance.push(samples);
      let pieces = 0;
      for (let p = utterance.nextPiece(); p !== undefined; p = utterance.nextPiece()) {
        latch.piece(p);
        if (++pieces % piecesPerTurnOfTheLoop === 0) {
          await this.#options.clock.sleep(0, link.signal);
        }
      }
    };
    for (const samples of this.#stale.splice(0)) await hear(samples);
    for (;;) {
      const mail = await nextMail(link);
      if (mail.kind === 'audio') {
        await hear(mail.samples);
        if (this.#isTooLong(turn, utterance.receivedSamples)) {
          this.#reportEndOfTurn(link, turn, 'EndVad', utterance.receivedSamples, latch.speech);
          return { kind: 'text', text: undefined };
        }
      }
      if (mail.kind !== 'command') continue;
      const { command } = mail;
      const samples = utterance.receivedSamples;
      switch (command.event) {
        case 'StartChat':
          if (settings.restart === 'ignored') break;
          return { kind: 'restarted' };
        case 'Text':
          this.#reportEndOfTurn(link, turn, 'Text', samples, latch.speech);
          return { kind: 'text', text: command.input };
        case 'Submit': {
          this.#reportEndOfTurn(link, turn, 'Submit', samples, latch.speech);
          if (!latch.speech) return { kind: 'text', text: undefined };
          const recognition = this.#recognize(link, turn, recognizer, utterance.recording());
          return { kind: 'text', text: (await this.#recognized(turn, recognition)) || undefined };
        }
        case 'Select':
        case 'StartRecord':
          break;
      }
    }
  }

  /** Whether more was said in one turn than this server keeps. The turn has failed then. */
  #isTooLong(turn: Turn, receivedSamples: number): boolean {
    const { utteranceSamples } = this.#options.settings.limits;
    if (receivedSamples <= utteranceSamples) return false;
    const words = `More than ${utteranceSamples / 16_000} s of audio came in one turn; it was given up.`;
    fail(turn, 'recognition', new TurnLimitError('SERVER_UTTERANCE_TOO_LONG', words));
    return true;
  }

  #recognize(
    link: DeviceLink,
    turn: Turn,
    recognizer: Recognizer,
    samples: Int16Array,
  ): Recognition {
    const { clock, settings } = this.#options;
    return new Recognition({
      clock,
      recognizer,
      samples,
      context: { deviceId: this.#deviceId, turn: turn.number },
      timeoutMs: settings.recognitionTimeoutMs,
      signal: link.signal,
    });
  }

  /** The text of a recognition when it is there; nothing when it fails. */
  async #recognized(turn: Turn, recognition: Recognition | undefined): Promise<string> {
    await recognition?.over;
    if (recognition?.failure !== undefined) fail(turn, 'recognition', recognition.failure.error);
    return recognition?.text ?? '';
  }

  /** @returns samples of speech sent to the board */
  async #answer(link: DeviceLink, turn: Turn, heard: string): Promise<number> {
    const { clock, speech, platform, settings } = this.#options;
    await this.#sendAsr(link, turn, heard, true);

    // Ends with the connection, or when one part of the answer breaks.
    const stop = new FollowingController(link.signal);
    const { signal } = stop;
    // One listener per sentence is no leak: the signal lives as long as the answer.
    setMaxListeners(0, signal);
    const texts = new AsyncQueue<string>(signal);
    const reading = this.#readReply(turn, heard, texts, signal);
    const { sentences, done } = synthesize(texts, {
      clock,
      session: speech,
      platform,
      turn: turn.number,
      firstSentence: this.#sentences + 1,
      parallelRequests: settings.parallelRequests,
      signal,
      report: (event) => this.#options.observe(event),
      onAudio: (request, samples) =>
        this.#options.observeAudio({
          kind: 'provider',
          deviceId: this.#deviceId,
          request,
          samples,
        }),
      onFailure: (kind, message) => fail(turn, kind, message),
    });
    const delivering = deliverSentences(sentences, {
      clock,
      link,
      framer: this.#framer,
      turn: turn.number,
      order: this.#options.encodingOrder,
      report: (event) => this.#options.observe({ source: 'server', ...event }),
      onFrame: (samples) =>
        this.#options.observeAudio({ kind: 'sent', deviceId: this.#deviceId, samples }),
      onStart: () => {
        this.#sentences += 1;
      },
    });

    const parts = [reading, done, delivering] as const;
    try {
      const [, , sentSamples] = await Promise.all(parts);
      return sentSamples;
    } catch (error) {
      stop.abort(error);
      throw error;
    } finally {
      // Nothing of this answer may be running, or be reported, when the turn is over.
      await Promise.allSettled(parts);
      stop.release();
    }
  }

  /** Reads the reply into sentences. A failure ends the texts; what was said so far is spoken. */
  async #readReply(
    turn: Turn,
    heard: string,
    texts: AsyncQueue<string>,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, replies, settings } = this.#options;
    const splitter = new SentenceSplitter(settings);
    const limitMs = settings.replyTimeoutMs;
    const watchdog = new Watchdog(
      clock,
      limitMs,
      signal,
      () => new Error(`The reply was silent for ${limitMs} ms; the server gave up on it.`),
    );
    const context = { deviceId: this.#deviceId, turn: turn.number, history: this.#history };
    const pieces = replies.reply(heard, context, watchdog.signal)[Symbol.asyncIterator]();
    const said: string[] = [];
    let length = 0;
    try {
      for (;;) {
        let next: IteratorResult<string>;
        try {
          next = await watchdog.guard(pieces.next());
        } catch (error) {
          signal.throwIfAborted();
          fail(turn, 'reply', error);
          break;
        }
        if (next.done === true) break;
        watchdog.kick();
        const { replyCharacters } = settings.limits;
        length += next.value.length;
        if (length > replyCharacters) {
          const words = `The reply has more than ${replyCharacters} characters; what came before is spoken.`;
          fail(turn, 'reply', new TurnLimitError('SERVER_REPLY_TOO_LONG', words));
          // Like a reply that fails: nobody waits for its end.
          pieces.return?.()?.catch(() => {});
          break;
        }
        said.push(next.value);
        this.#report({ type: 'replyText', turn: turn.number, text: next.value });
        for (const text of splitter.push(next.value)) texts.push(text);
      }
    } finally {
      watchdog.stop();
      // Joined: a string that grew by `+=` keeps each of its pieces for as long as it is remembered.
      const assistant = said.join('');
      if (assistant !== '') {
        const kept = this.#history.slice(-(settings.limits.historyExchanges - 1));
        this.#history = [...kept, { user: heard, assistant }];
      }
    }
    for (const text of splitter.finish()) texts.push(text);
    texts.close();
  }

  async #sendAsr(link: DeviceLink, turn: Turn, text: string, final: boolean): Promise<void> {
    this.#report({ type: 'asr', turn: turn.number, text, final });
    await link.send({ type: 'ASR', text }, { turn: turn.number });
  }

  #reportEndOfTurn(
    link: DeviceLink,
    turn: Turn,
    by: 'EndVad' | 'Submit' | 'Text',
    uplinkSamples: number,
    speech: boolean,
  ): void {
    const { connection } = link;
    this.#report({ type: 'endOfTurn', connection, turn: turn.number, by, uplinkSamples, speech });
  }

  #report(event: WithoutInstant<ServerEvent>): void {
    this.#options.observe({ source: 'server', atUs: this.#options.clock.nowUs(), ...event });
  }
}

/** Omits the instant from each member of the union. */
type WithoutInstant<Event> = Event extends unknown ? Omit<Event, 'atUs'> : never;

/** Never resolves; rejects with the signal's reason. */
function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

async function nextMail(link: DeviceLink) {
  const mail = await link.inbox.take();
  // The inbox of a link is never closed; it fails when the link retires.
  if (mail === undefined) throw new Error('The inbox of a connection was closed.');
  return mail;
}
