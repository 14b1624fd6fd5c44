/**
 * The recorded conversation put back together: which turn of the scenario a message, a sentence, a
 * provider request or a stretch of speaker audio belongs to. Everything else in this folder starts
 * from here. Only the trace is read; a part that a recording lacks (no server events from an
 * external server, no player events from a real board) is null or empty.
 */
import type { DeviceEvent } from '../device/device-event.ts';
import type { ProviderEvent, ServerEvent } from '../server/server-event.ts';
import type { HarnessEvent, TraceEvent, UserEvent } from '../trace/trace-event.ts';
import { chunkSamples, cycleUs, type PlayerRules, type Stall } from './player-schedule.ts';
import type { RecordedCell } from './recorded-cell.ts';

/** Something that happened: the instant, and the line of the trace that says so. */
export interface Mark {
  readonly atUs: number;
  readonly seq: number;
}

export interface Conversation {
  readonly turns: readonly Turn[];
  /** In order of the server's turns and numbers, sentences known from the board alone last. */
  readonly sentences: readonly Sentence[];
  readonly requests: readonly ProviderRequest[];
  readonly frames: readonly ServerFrame[];
  readonly boots: readonly Boot[];
  /** Events of the player that are not tied to one sentence, in order. */
  readonly cleared: readonly (Mark & { readonly samples: number; readonly cause: string })[];
  /** How late this computer's alarms were; null in virtual time. */
  readonly lag: Extract<HarnessEvent, { type: 'lag' }> | null;
  readonly ledger: (Mark & Extract<DeviceEvent, { type: 'finished' }>) | null;
  readonly stateChanges: readonly (Mark & Extract<DeviceEvent, { type: 'state' }>)[];
  /** The board's own voice detection found speech. */
  readonly speechOnsets: readonly Mark[];
  /** When the user's clips sounded at the microphone. */
  readonly userClips: readonly { readonly startUs: number; readonly samples: number }[];
  readonly connectionEnds: ReadonlyMap<number, Mark>;
  /** Every piece of audio the main loop took, in order. */
  readonly handledAudio: readonly HandledAudio[];
  readonly discardedHold: readonly (Mark & { readonly samples: number })[];
  /** The hello sound may have been played after the last sentence. */
  readonly helloAtEnd: boolean;
  /** Samples in the hold buffer when the trace ended. */
  readonly heldAtEnd: number;
  readonly end: (Mark & Extract<HarnessEvent, { type: 'end' }>) | null;
  /** Instant of the last event. */
  readonly lastUs: number;
}

export interface Boot extends Mark {
  readonly speakerStartUs: number;
  /** Index into `speaker` of this boot's position 0. */
  readonly speakerOffset: number;
  /** Ids of the quirks the board does not have. */
  readonly quirksOff: readonly string[];
  readonly rules: PlayerRules;
  /** Times in which the player stood still. */
  readonly stalls: readonly Stall[];
  /** When the board restarted; null: it ran to the end of the recording. */
  readonly endedUs: number | null;
}

type BootDraft = { -readonly [Key in keyof Boot]: Boot[Key] } & { stalls: Stall[] };

/** One turn of the scenario. */
export interface Turn {
  readonly number: number;
  readonly started: Mark | null;
  readonly speechStart: Mark | null;
  readonly userStop: Mark | null;
  readonly presses: readonly Mark[];
  readonly ended: (Mark & { readonly outcome: string; readonly detail?: string }) | null;
  /** Turns the server counted while this one was the user's latest. */
  readonly serverTurns: readonly ServerTurn[];
  /** The one that answered: the first that spoke, else the last. */
  readonly answer: ServerTurn | null;
  /** In order, over all its server turns. */
  readonly sentences: readonly Sentence[];
  readonly requests: readonly ProviderRequest[];
  /** The board left the answer, before or while it was spoken, for a new connection. */
  readonly interrupted: Mark | null;
}

export interface ServerTurn {
  readonly turn: number;
  readonly started: Mark;
  endOfTurn: (Mark & { readonly speech: boolean; readonly by: string }) | null;
  firstText: Mark | null;
  ended: (Mark & { readonly outcome: string; readonly failure?: string }) | null;
}

export interface ProviderRequest {
  /** 0: it failed before a request was written. */
  readonly request: number;
  serverTurn: number | null;
  /** First sentence it speaks. */
  sentence: number | null;
  platform: string | null;
  reused: boolean;
  decidedUs: number | null;
  connectedUs: number | null;
  /** The request bytes were written. */
  written: Mark | null;
  readonly chunks: ProviderChunk[];
  end: (Mark & { readonly sourceFrames: number; readonly samples: number }) | null;
  failure: (Mark & Extract<ProviderEvent, { type: 'failure' }>) | null;
  cancelled: Mark | null;
}

export interface ProviderChunk extends Mark {
  readonly sentence: number;
  readonly sourceBytes: number;
  readonly sourceRateHz: number;
  readonly samples: number;
  /** Index of its first sample in the audio of the request. */
  readonly offset: number;
}

/** An audio frame on its way from the server to the main loop of the board. */
export interface ServerFrame extends Mark {
  readonly connection: number;
  readonly frame: number;
  readonly turn: number;
  readonly sentence: number | null;
  readonly event: string;
  readonly bytes: number;
  /** 0 for messages without audio. */
  readonly samples: number;
  received: Mark | null;
  /** Made up by the board's decoder, because the packet was empty. */
  concealedSamples: number;
  handled: HandledAudio | null;
  rejected: Mark | null;
}

export interface HandledAudio extends Mark {
  readonly samples: number;
  readonly disposition: 'played' | 'held' | 'dropped' | null;
}

export interface Sentence {
  /**
   * The server's number; null when only the board saw it. A number is used again by the next turn
   * when the sentence was never sent, so it means something only together with the turn.
   */
  readonly number: number | null;
  readonly serverTurn: number | null;
  /** Turn of the scenario. */
  turn: number | null;
  text: string | null;
  /** Handed to the speech adapter. */
  ready: Mark | null;
  /** A chat model rewrote it, from `startedUs` to the instant of the mark. */
  optimized: (Mark & { readonly startedUs: number }) | null;
  readonly frames: ServerFrame[];
  framed: (Mark & Extract<ServerEvent, { type: 'framed' }>) | null;
  /** The board's side; null when its `StartAudio` was never handled. */
  board: BoardSentence | null;
}

export interface BoardSentence {
  readonly boot: Boot;
  /** Counted per boot by `StartAudio`. */
  readonly number: number;
  readonly started: Mark;
  /** The start message went to the player, after the screen was redrawn. */
  startPosted: Mark;
  /** Audio that the main loop took while this was the current sentence. */
  readonly arrivals: HandledAudio[];
  /** Held samples that `EndAudio` handed to the player, older ones included. */
  releasedSamples: number;
  /** Those of them that came with an earlier sentence, which never ended (quirk Q21). */
  staleSamples: number;
  /** `EndAudio` was handled while Speaking, so an end marker went to the player. */
  ended: Mark | null;
  /** Positions here and below are indices into `speaker`. */
  playStart: (Mark & { readonly position: number }) | null;
  drained:
    | (Mark & {
        readonly position: number;
        readonly restSamples: number;
        /** Zeros that filled the last chunk. */
        readonly paddedSamples: number;
      })
    | null;
  readonly underruns: BoardUnderrun[];
  /** Other messages that cost the player a cycle while this was the current sentence. */
  readonly otherMessages: Mark[];
  /** K0 or barge-in sent the player the order to throw its queue away. */
  cleared: Mark | null;
  /** Another sentence, turn or the end of the answer came before `EndAudio`: no end marker will. */
  abandoned: Mark | null;
  /** Rest in the player when the sentence began, as the last `drained` told; null when unknown. */
  readonly restReported: number | null;
  /** The hello sound may have been played since the sentence before, which changes the rest. */
  readonly helloBefore: boolean;
}

export interface BoardUnderrun {
  readonly started: Mark;
  readonly position: number;
  /** Null when the recording ended in it. */
  ended: Mark | null;
  cycles: number | null;
}

/** Order of the trace. */
export function byTime(a: Mark, b: Mark): number {
  return a.atUs - b.atUs || a.seq - b.seq;
}

/**
 * The requests of `requests` that speak `sentence`: those of its turn with the largest first
 * sentence that is not beyond it. A request may speak a whole answer; a long sentence may need
 * several.
 */
export function requestsFor(
  requests: readonly ProviderRequest[],
  { number, serverTurn }: Sentence,
): ProviderRequest[] {
  const candidates = requests.filter(
    (request) =>
      request.serverTurn === serverTurn &&
      request.sentence !== null &&
      number !== null &&
      request.sentence <= number,
  );
  const first = Math.max(...candidates.map((request) => request.sentence!));
  return candidates.filter((request) => request.sentence === first);
}

export function readConversation(cell: RecordedCell): Conversation {
  const reader = new ConversationReader();
  for (const event of cell.events) reader.read(event);
  return reader.finish();
}

interface TurnDraft {
  number: number;
  started: Mark | null;
  speechStart: Mark | null;
  userStop: Mark | null;
  presses: Mark[];
  ended: Turn['ended'];
}

class ConversationReader {
  readonly #turns = new Map<number, TurnDraft>();
  readonly #serverTurns = new Map<number, ServerTurn>();
  readonly #requests = new Map<number | string, ProviderRequest>();
  readonly #frames = new Map<string, ServerFrame>();
  readonly #sentences = new Map<string, Sentence>();
  readonly #boardOnly: Sentence[] = [];
  readonly #boots: BootDraft[] = [];
  readonly #boardSentences = new Map<string, BoardSentence>();
  readonly #cleared: (Mark & { samples: number; cause: string })[] = [];
  readonly #stateChanges: Conversation['stateChanges'][number][] = [];
  readonly #speechOnsets: Mark[] = [];
  readonly #userClips: { startUs: number; samples: number }[] = [];
  readonly #connectionEnds = new Map<number, Mark>();
  readonly #handledAudio: HandledAudio[] = [];
  readonly #discardedHold: (Mark & { samples: number })[] = [];
  #ledger: Conversation['ledger'] = null;
  #end: Conversation['end'] = null;
  #lastUs = 0;
  #state = 'Idle';
  #current: BoardSentence | null = null;
  #currentCount = 0;
  #lag: Conversation['lag'] = null;
  #heldSamples = 0;
  /** Part of them that was held back before the current sentence began. */
  #staleSamples = 0;
  #restReported: number | null = null;
  #helloPlayed = true;
  #helloAccepted = false;
  #bargeIn = false;
  /** The screen is being redrawn for a `StartAudio`; then the player is told. */
  #awaitsStart = false;
  readonly #interruptions: {
    mark: Mark;
    board: BoardSentence | null;
    serverTurn: number | null;
  }[] = [];
  /** Messages to the player since the last sentence was played. */
  readonly #looseMessages: Mark[] = [];

  read(event: TraceEvent): void {
    this.#lastUs = event.atUs;
    if (event.source === 'user') this.#readUser(event);
    else if (event.source === 'harness') this.#readHarness(event);
    else if (event.source === 'server') this.#readServer(event);
    else if (event.source === 'provider') this.#readProvider(event);
    else if (event.source === 'device') this.#readDevice(event);
  }

  finish(): Conversation {
    const drafts = [...this.#turns.values()].sort((a, b) => a.number - b.number);
    const byServerTurn = new Map<number, number>();
    for (const [number, serverTurn] of this.#serverTurns) {
      const owner =
        speakerIn(drafts, serverTurn) ?? turnAt({ turns: drafts }, serverTurn.started.atUs);
      if (owner !== null) byServerTurn.set(number, owner);
    }
    const sentences = [...this.#sentences.values()].sort(
      (a, b) => a.serverTurn! - b.serverTurn! || a.number! - b.number!,
    );
    sentences.push(...this.#boardOnly);
    for (const sentence of sentences) {
      const at = sentence.board?.started.atUs;
      if (sentence.serverTurn !== null)
        sentence.turn = byServerTurn.get(sentence.serverTurn) ?? null;
      else if (at !== undefined) sentence.turn = turnAt({ turns: drafts }, at);
    }
    const requests = [...this.#requests.values()].sort((a, b) => a.request - b.request);
    const turns = drafts.map((draft): Turn => {
      const belongs = (serverTurn: number | null) =>
        serverTurn !== null && byServerTurn.get(serverTurn) === draft.number;
      const serverTurns = [...this.#serverTurns.values()].filter(({ turn }) => belongs(turn));
      const own = sentences.filter((sentence) => sentence.turn === draft.number);
      const spoke = serverTurns.find(({ turn }) => own.some((s) => s.serverTurn === turn));
      return {
        ...draft,
        serverTurns,
        answer: spoke ?? serverTurns[serverTurns.length - 1] ?? null,
        sentences: own,
        requests: requests.filter((request) => belongs(request.serverTurn)),
        interrupted:
          this.#interruptions.find(({ board, serverTurn }) =>
            board === null ? belongs(serverTurn) : own.some((s) => s.board === board),
          )?.mark ?? null,
      };
    });
    return {
      turns,
      sentences,
      requests,
      frames: [...this.#frames.values()],
      boots: this.#boots,
      cleared: this.#cleared,
      lag: this.#lag,
      ledger: this.#ledger,
      stateChanges: this.#stateChanges,
      speechOnsets: this.#speechOnsets,
      userClips: this.#userClips,
      connectionEnds: this.#connectionEnds,
      handledAudio: this.#handledAudio,
      discardedHold: this.#discardedHold,
      helloAtEnd: this.#helloPlayed,
      heldAtEnd: this.#heldSamples,
      end: this.#end,
      lastUs: this.#lastUs,
    };
  }

  #turn(number: number): TurnDraft {
    let turn = this.#turns.get(number);
    if (turn === undefined) {
      turn = { number, started: null, speechStart: null, userStop: null, presses: [], ended: null };
      this.#turns.set(number, turn);
    }
    return turn;
  }

  #readUser(event: { seq: number } & UserEvent): void {
    // Turn 0 is what the user does before the conversation begins: switching the board to listening.
    if (event.turn === 0) return;
    const turn = this.#turn(event.turn);
    const mark = { atUs: event.atUs, seq: event.seq };
    if (event.type === 'speechStart') {
      turn.speechStart ??= mark;
      this.#userClips.push({ startUs: event.atUs, samples: event.samples });
    }
    if (event.type === 'speechStop') turn.userStop = mark;
    if (event.type === 'press') turn.presses.push(mark);
  }

  #readHarness(event: { seq: number } & HarnessEvent): void {
    if (event.type === 'turnStart') this.#turn(event.turn).started ??= event;
    if (event.type === 'turnEnd') this.#turn(event.turn).ended = event;
    if (event.type === 'lag') this.#lag = event;
    if (event.type === 'end') this.#end = event;
  }

  #sentence(event: { readonly turn: number; readonly sentence: number }): Sentence {
    const key = `${event.turn}:${event.sentence}`;
    let sentence = this.#sentences.get(key);
    if (sentence === undefined) {
      sentence = emptySentence(event.sentence, event.turn);
      this.#sentences.set(key, sentence);
    }
    return sentence;
  }

  #readServer(event: { seq: number } & ServerEvent): void {
    switch (event.type) {
      case 'turnStart':
        this.#serverTurns.set(event.turn, {
          turn: event.turn,
          started: event,
          endOfTurn: null,
          firstText: null,
          ended: null,
        });
        break;
      case 'endOfTurn': {
        const turn = this.#serverTurns.get(event.turn);
        if (turn !== undefined) turn.endOfTurn ??= event;
        break;
      }
      case 'replyText': {
        const turn = this.#serverTurns.get(event.turn);
        if (turn !== undefined && event.text !== '') turn.firstText ??= event;
        break;
      }
      case 'turnEnd': {
        const turn = this.#serverTurns.get(event.turn);
        if (turn !== undefined) turn.ended = event;
        break;
      }
      case 'sentence': {
        const sentence = this.#sentence(event);
        // Pieces that cannot be told apart in the audio share one number.
        sentence.text = sentence.text === null ? event.text : `${sentence.text} ${event.text}`;
        sentence.ready ??= event;
        break;
      }
      case 'textOptimization':
        this.#sentence(event).optimized ??= event;
        break;
      case 'frame': {
        const frame: ServerFrame = {
          atUs: event.atUs,
          seq: event.seq,
          connection: event.connection,
          frame: event.frame,
          turn: event.turn,
          sentence: event.sentence ?? null,
          event: event.event,
          bytes: event.bytes,
          samples: event.event.startsWith('AudioChunk') ? (event.samples ?? 0) : 0,
          received: null,
          concealedSamples: 0,
          handled: null,
          rejected: null,
        };
        this.#frames.set(frameKey(event), frame);
        if (frame.sentence !== null && frame.samples > 0) {
          this.#sentence({ turn: event.turn, sentence: frame.sentence }).frames.push(frame);
        }
        break;
      }
      case 'framed':
        this.#sentence(event).framed = event;
        break;
      case 'disconnected':
        if (!this.#connectionEnds.has(event.connection)) {
          this.#connectionEnds.set(event.connection, event);
        }
        break;
      default:
        break;
    }
  }

  #request({ request: number, seq }: { request: number; seq: number }): ProviderRequest {
    // 0 stands for an attempt that was over before a request was written; each is its own.
    const key = number === 0 ? `attempt ${seq}` : number;
    let request = this.#requests.get(key);
    if (request === undefined) {
      request = {
        request: number,
        serverTurn: null,
        sentence: null,
        platform: null,
        reused: false,
        decidedUs: null,
        connectedUs: null,
        written: null,
        chunks: [],
        end: null,
        failure: null,
        cancelled: null,
      };
      this.#requests.set(key, request);
    }
    return request;
  }

  #readProvider(event: { seq: number } & ProviderEvent): void {
    const request = this.#request(event);
    switch (event.type) {
      case 'request':
        request.serverTurn = event.turn;
        request.sentence = event.sentence;
        request.platform = event.platform;
        request.reused = event.reused;
        request.decidedUs = event.decidedUs;
        request.connectedUs = event.connectedUs;
        request.written ??= event;
        break;
      case 'chunk': {
        const previous = request.chunks[request.chunks.length - 1];
        const offset = previous === undefined ? 0 : previous.offset + previous.samples;
        request.chunks.push({ ...event, offset });
        break;
      }
      case 'end':
        request.end = event;
        break;
      case 'failure':
      case 'cancelled':
        request.serverTurn ??= event.turn;
        request.sentence ??= event.sentence;
        if (event.type === 'failure') request.failure ??= event;
        else request.cancelled ??= event;
        break;
      case 'responseHead':
      case 'retry':
        break;
    }
  }

  #readDevice(event: { seq: number } & DeviceEvent): void {
    const mark: Mark = { atUs: event.atUs, seq: event.seq };
    switch (event.type) {
      case 'boot': {
        const origin = this.#boots[0]?.speakerStartUs ?? event.speakerStartUs;
        const speakerOffset = Math.round((event.speakerStartUs - origin) * 0.016);
        const quirksOff: readonly string[] = event.quirksOff ?? [];
        this.#boots.push({
          ...mark,
          speakerStartUs: event.speakerStartUs,
          speakerOffset,
          quirksOff,
          rules: {
            keepsRest: !quirksOff.includes('Q2'),
            clearKeepsRest: !quirksOff.includes('Q3'),
            oneMessagePerCycle: !quirksOff.includes('Q17'),
            cyclesAtOnce: event.playerRhythm === 'pairs' ? 2 : 1,
            prebufferChunks: Math.ceil(((event.prebufferMs ?? 0) * 1000) / cycleUs),
          },
          stalls: [],
          endedUs: null,
        });
        this.#state = 'Idle';
        this.#current = null;
        this.#currentCount = 0;
        this.#discardHold(mark);
        this.#restReported = null;
        this.#helloPlayed = true;
        this.#helloAccepted = false;
        this.#looseMessages.length = 0;
        break;
      }
      case 'connected':
        if (event.reconnect) this.#clearPlayer(mark);
        if (event.reconnect && this.#hasNot('Q21')) this.#discardHold(mark);
        break;
      case 'reboot': {
        const boot = this.#boots.at(-1);
        if (boot !== undefined) boot.endedUs ??= event.atUs;
        if (this.#current?.drained === null) this.#current.cleared ??= mark;
        this.#discardHold(mark);
        break;
      }
      case 'playerStalled': {
        const cycle = event.position / chunkSamples;
        this.#boots.at(-1)?.stalls.push({ cycle, cycles: Number.POSITIVE_INFINITY });
        break;
      }
      case 'playerResumed': {
        const stalls = this.#boots.at(-1)?.stalls;
        const stall = stalls?.pop();
        if (stall !== undefined) stalls?.push({ ...stall, cycles: event.cycles });
        break;
      }
      case 'display':
        if (this.#current !== null && this.#awaitsStart) this.#current.startPosted = mark;
        this.#awaitsStart = false;
        break;
      case 'state':
        this.#state = event.to;
        if (event.cause === 'barge-in') this.#bargeIn = true;
        this.#stateChanges.push(event);
        break;
      case 'speech':
        if (event.active) this.#speechOnsets.push(mark);
        break;
      case 'disconnected':
        if (!this.#connectionEnds.has(event.connection)) {
          this.#connectionEnds.set(event.connection, mark);
        }
        break;
      case 'volume':
        this.#costCycle(mark);
        break;
      case 'frameReceived': {
        const frame = this.#frames.get(frameKey(event));
        if (frame !== undefined) {
          frame.received = mark;
          frame.concealedSamples = event.concealedSamples ?? 0;
        }
        break;
      }
      case 'frameRejected': {
        const frame = this.#frames.get(frameKey(event));
        if (frame !== undefined) frame.rejected = mark;
        break;
      }
      case 'frameHandled':
        this.#readHandled(event, mark);
        break;
      case 'playStart': {
        const board = this.#boardSentence(event.sentence);
        if (board !== undefined) {
          board.playStart ??= { ...mark, position: event.position + board.boot.speakerOffset };
        }
        break;
      }
      case 'underrunStart': {
        const board = this.#boardSentence(event.sentence);
        board?.underruns.push({
          started: mark,
          position: event.position + board.boot.speakerOffset,
          ended: null,
          cycles: null,
        });
        break;
      }
      case 'underrunEnd': {
        const underruns = this.#boardSentence(event.sentence)?.underruns ?? [];
        const underrun = underruns[underruns.length - 1];
        if (underrun !== undefined) {
          underrun.ended = mark;
          underrun.cycles = event.cycles;
        }
        break;
      }
      case 'drained': {
        const board = this.#boardSentence(event.sentence);
        if (board !== undefined) {
          board.drained = {
            ...mark,
            position: event.position + board.boot.speakerOffset,
            restSamples: event.restSamples,
            paddedSamples: event.paddedSamples ?? 0,
          };
        }
        this.#restReported = event.restSamples;
        break;
      }
      case 'playerCleared':
        this.#cleared.push({ ...mark, samples: event.samples, cause: event.cause });
        break;
      case 'finished':
        this.#ledger = event;
        break;
      default:
        break;
    }
  }

  #boardSentence(number: number): BoardSentence | undefined {
    return this.#boardSentences.get(`${this.#boots.length}:${number}`);
  }

  #readHandled(event: Extract<DeviceEvent, { type: 'frameHandled' }>, mark: Mark): void {
    const frame = this.#frames.get(frameKey(event));
    if (event.samples !== undefined) {
      const audio: HandledAudio = {
        ...mark,
        samples: event.samples,
        disposition: event.disposition ?? null,
      };
      this.#handledAudio.push(audio);
      if (frame !== undefined) frame.handled = audio;
      if (audio.disposition === 'held') this.#heldSamples += audio.samples;
      this.#current?.arrivals.push(audio);
      return;
    }
    if (frame !== undefined) frame.handled = { ...mark, samples: 0, disposition: null };
    if (event.event === 'StartAudio') this.#startSentence(frame, mark);
    if (event.event === 'EndAudio' && this.#state === 'Speaking' && this.#current !== null) {
      this.#current.ended ??= mark;
      this.#current.releasedSamples = this.#heldSamples;
      this.#current.staleSamples = this.#staleSamples;
      this.#heldSamples = 0;
      this.#staleSamples = 0;
    }
    if (event.event === 'HelloEnd' && !this.#helloAccepted) {
      this.#helloAccepted = true;
      this.#costCycle(mark);
    }
    if (event.event === 'EndVad' && ['Listening', 'Speaking'].includes(this.#state)) {
      this.#abandonSentence(mark);
      if (this.#hasNot('Q19')) this.#silencePlayer(mark);
    }
    if (event.event === 'EndResponse') {
      this.#abandonSentence(mark);
      this.#discardHold(mark);
      if (this.#hasNot('Q19')) this.#silencePlayer(mark);
    }
  }

  /** The player was sent something that does nothing but take a cycle. */
  #costCycle(mark: Mark): void {
    const { drained } = this.#current ?? { drained: mark };
    if (drained === null) this.#current!.otherMessages.push(mark);
    else this.#looseMessages.push(mark);
  }

  /** A new connection is followed at once by `clear` (barge-in) or by the hello sound (K0). */
  #clearPlayer(mark: Mark): void {
    if (this.#current?.drained === null) this.#current.cleared ??= mark;
    if (this.#bargeIn || this.#state === 'Speaking') {
      this.#interruptions.push({ mark, board: this.#current, serverTurn: null });
    } else if (this.#state === 'Waiting') {
      const serverTurn = [...this.#serverTurns.keys()].at(-1) ?? null;
      this.#interruptions.push({ mark, board: null, serverTurn });
    }
    if (!this.#bargeIn) {
      this.#helloPlayed = true;
      this.#restReported = null;
    }
    this.#bargeIn = false;
  }

  #hasNot(quirk: string): boolean {
    return this.#boots.at(-1)?.quirksOff.includes(quirk) ?? false;
  }

  /** The queue of the player was thrown away without an interruption. */
  #silencePlayer(mark: Mark): void {
    if (this.#current?.drained === null && this.#current.cleared === null) {
      this.#current.cleared = mark;
    } else this.#costCycle(mark);
  }

  #abandonSentence(mark: Mark): void {
    if (this.#current?.ended === null) this.#current.abandoned ??= mark;
  }

  #discardHold(mark: Mark): void {
    if (this.#heldSamples === 0) return;
    this.#discardedHold.push({ ...mark, samples: this.#heldSamples });
    this.#heldSamples = 0;
    this.#staleSamples = 0;
  }

  #startSentence(frame: ServerFrame | undefined, mark: Mark): void {
    const boot = this.#boots[this.#boots.length - 1];
    if (boot === undefined) return;
    this.#abandonSentence(mark);
    this.#staleSamples = this.#heldSamples;
    this.#currentCount++;
    const board: BoardSentence = {
      boot,
      number: this.#currentCount,
      started: mark,
      startPosted: mark,
      arrivals: [],
      releasedSamples: 0,
      staleSamples: 0,
      ended: null,
      playStart: null,
      drained: null,
      underruns: [],
      otherMessages: this.#looseMessages.splice(0),
      cleared: null,
      abandoned: null,
      restReported: this.#restReported,
      helloBefore: this.#helloPlayed,
    };
    this.#current = board;
    this.#restReported = null;
    this.#helloPlayed = false;
    this.#awaitsStart = true;
    this.#boardSentences.set(`${this.#boots.length}:${this.#currentCount}`, board);
    if (frame !== undefined && frame.sentence !== null) {
      this.#sentence({ turn: frame.turn, sentence: frame.sentence }).board = board;
    } else {
      this.#boardOnly.push({ ...emptySentence(null, null), board });
    }
  }
}

function emptySentence(number: number | null, serverTurn: number | null): Sentence {
  return {
    number,
    serverTurn,
    turn: null,
    text: null,
    ready: null,
    optimized: null,
    frames: [],
    framed: null,
    board: null,
  };
}

function frameKey(event: { readonly connection: number; readonly frame: number }): string {
  return `${event.connection}:${event.frame}`;
}

/** What tells when the user of a turn was active. */
type UserActs = Pick<Turn, 'number' | 'started' | 'speechStart' | 'userStop' | 'presses' | 'ended'>;

/**
 * The turn whose user spoke into a turn of the server: noise or echo may have begun it before. Of several it is the first
 * whose user has not given up waiting before the server found the end: a board whose own voice detector stalls submits the words
 * of two turns in one (EchoKit device protocol reference, section 6.2). Null when nobody spoke.
 */
function speakerIn(turns: readonly UserActs[], { started, endOfTurn }: ServerTurn): number | null {
  const endUs = endOfTurn?.atUs ?? started.atUs;
  const speakers = turns.filter(
    ({ speechStart, userStop }) =>
      speechStart !== null &&
      speechStart.atUs <= endUs &&
      (userStop ?? speechStart).atUs >= started.atUs,
  );
  const waiting = speakers.find(({ ended }) => ended?.outcome !== 'timeout' || ended.atUs > endUs);
  return (waiting ?? speakers[0])?.number ?? null;
}

/** The turn whose user began last before `atUs`: what the server hears is what was said last. */
export function turnAt({ turns }: { turns: readonly UserActs[] }, atUs: number): number | null {
  let owner: number | null = null;
  for (const turn of turns) {
    const anchor = turn.speechStart ?? turn.presses[0] ?? turn.started;
    if (anchor !== null && anchor.atUs <= atUs) owner = turn.number;
  }
  return owner;
}
