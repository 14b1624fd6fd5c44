/**
 * A recorded cell made by hand, for tests of everything right of the recording: the caller plants
 * the instants, and gets the files a run would have left together with the truth they must give.
 * The player in here works cycle by cycle and shares no code with the formulas it is to check.
 */
import { type PlantedEvent, PlantedTrace } from './planted-trace.contract.ts';
import type { RecordedCell } from './recorded-cell.ts';

export interface PlantedTurn {
  readonly speechStartUs: number;
  readonly userStopUs: number;
  readonly endOfTurnUs: number;
  readonly firstTextUs: number;
  readonly sentences: readonly PlantedSentence[];
  /** Default: `spoken`. */
  readonly serverOutcome?: 'spoken' | 'empty' | 'failed' | 'interrupted';
  readonly harnessOutcome?: 'finished' | 'timeout' | 'interrupted' | 'reboot';
  readonly endUs: number;
}

export interface PlantedSentence {
  readonly readyUs: number;
  /** A chat model rewrites the sentence before its request. */
  readonly optimization?: { readonly startedUs: number; readonly endUs: number };
  readonly decidedUs: number;
  readonly connectedUs: number;
  readonly writtenUs: number;
  /** Arrivals of audio from the provider. */
  readonly chunks: readonly { readonly atUs: number; readonly samples: number }[];
  readonly leadSamples: number;
  readonly tailSamples: number;
  /** From a chunk's arrival to the frames it fills. */
  readonly holdUs: number;
  /** From a frame written to the frame at the main loop. */
  readonly downlinkUs: number;
  /** The provider fails instead of ending, with this class. */
  readonly failure?: string;
  /** The player is cleared at this instant; nothing of the sentence is played afterwards. */
  readonly clearedUs?: number;
}

export interface PlantedPlan {
  readonly speakerStartUs: number;
  /** Samples left in the player by the hello sound. */
  readonly restSamples: number;
  readonly turns: readonly PlantedTurn[];
  readonly speakerSamples: number;
}

export interface PlantedTruth {
  /** Per sentence, in order. Positions are indices into `speaker`. */
  readonly sentences: readonly {
    readonly turn: number;
    readonly firstPosition: number | null;
    readonly firstAudiblePosition: number | null;
    readonly emptyCycles: readonly number[];
    readonly drainedPosition: number | null;
    readonly paddedSamples: number;
  }[];
}

const frameSamples = 1920;
const helloSamples = 11_239;

export function plantCell(plan: PlantedPlan): { cell: RecordedCell; truth: PlantedTruth } {
  const trace = new PlantedTrace();
  const speaker = new Int16Array(plan.speakerSamples);
  const provider = new Map<number, Int16Array>();
  const sent: number[] = [];
  const sentences: PlantedTruth['sentences'][number][] = [];
  const player = new PlantedPlayer(plan.speakerStartUs, plan.restSamples, speaker);
  let pushed = helloSamples;
  let gateUs = 0;
  let state = 'Listening';

  trace.boot(plan.speakerStartUs);
  const toState = (atUs: number, to: string, cause: string) => {
    if (state === to) return;
    trace.push({ source: 'device', type: 'state', atUs, from: state, to, cause } as PlantedEvent);
    state = to;
  };

  plan.turns.forEach((turn, index) => {
    const number = index + 1;
    const base = { turn: number };
    trace.push(
      { source: 'harness', type: 'turnStart', atUs: turn.speechStartUs, ...base },
      {
        source: 'user',
        type: 'speechStart',
        atUs: turn.speechStartUs,
        text: 'a question',
        userOffset: 0,
        samples: 0,
        ...base,
      },
      {
        source: 'server',
        type: 'turnStart',
        atUs: turn.speechStartUs + 200_000,
        connection: 1,
        mode: 'stream',
        ...base,
      },
      { source: 'user', type: 'speechStop', atUs: turn.userStopUs, ...base },
      {
        source: 'server',
        type: 'endOfTurn',
        atUs: turn.endOfTurnUs,
        connection: 1,
        by: 'EndVad',
        uplinkSamples: 16_000,
        speech: true,
        ...base,
      },
      { source: 'server', type: 'replyText', atUs: turn.firstTextUs, text: 'An', ...base },
    );
    toState(turn.endOfTurnUs, 'Waiting', 'EndVad');

    for (const planted of turn.sentences) {
      const sentence = sentences.length + 1;
      const request = sentence;
      const total = planted.chunks.reduce((sum, { samples }) => sum + samples, 0);
      const audio = Int16Array.from({ length: total }, (_, i) =>
        i < planted.leadSamples || i >= total - planted.tailSamples
          ? 0
          : i % 2 === 0
            ? 8000
            : -8000,
      );
      provider.set(request, audio);
      const place = { turn: number, sentence };
      trace.push(
        {
          source: 'server',
          type: 'sentence',
          atUs: planted.readyUs,
          text: `Sentence ${sentence}.`,
          ...place,
        },
        ...(planted.optimization === undefined
          ? []
          : [
              {
                source: 'server',
                type: 'textOptimization',
                atUs: planted.optimization.endUs,
                startedUs: planted.optimization.startedUs,
                url: 'http://planted/v1/chat/completions',
                text: `Sentence number ${sentence}.`,
                charactersIn: 11,
                charactersOut: 18,
                ...place,
              } as const,
            ]),
      );
      const { writtenUs, decidedUs, connectedUs } = planted;
      trace.request({ request, writtenUs, decidedUs, connectedUs, characters: 10, ...place });

      const messages: PlayerLetter[] = [];
      const handle = (event: string, writtenUs: number, samples?: Int16Array) => {
        const receivedUs = writtenUs + planted.downlinkUs;
        const atUs = Math.max(receivedUs, gateUs);
        const late = planted.clearedUs !== undefined && atUs >= planted.clearedUs;
        trace.message({
          event,
          writtenUs,
          receivedUs,
          handledUs: atUs,
          ...place,
          ...(samples !== undefined && {
            samples: samples.length,
            disposition: late ? 'dropped' : 'played',
          }),
        });
        if (event === 'StartAudio') toState(atUs, 'Speaking', 'StartAudio');
        if (late) return atUs;
        if (samples !== undefined) {
          messages.push({ atUs, samples });
          pushed += samples.length;
        } else if (event === 'EndAudio') messages.push({ atUs, end: true });
        else messages.push({ atUs });
        return atUs;
      };

      const startedUs = handle('StartAudio', planted.readyUs);
      // The screen is redrawn before the player is told; a planted board does so in no time.
      trace.push({ source: 'device', type: 'display', atUs: startedUs, text: 'Speaking...' });
      let taken = 0;
      let framed = 0;
      let frames = 0;
      for (const chunk of planted.chunks) {
        trace.push({
          source: 'provider',
          type: 'chunk',
          atUs: chunk.atUs,
          request,
          sentence,
          sourceBytes: chunk.samples * 2,
          sourceRateHz: 16_000,
          sourceChannels: 1,
          samples: chunk.samples,
        });
        taken += chunk.samples;
        for (; taken - framed >= frameSamples; framed += frameSamples, frames++) {
          const samples = audio.slice(framed, framed + frameSamples);
          sent.push(...samples);
          handle('AudioChunk', chunk.atUs + planted.holdUs, samples);
        }
      }
      const lastUs = planted.chunks.at(-1)?.atUs ?? planted.writtenUs;
      trace.push(
        planted.failure === undefined
          ? {
              source: 'provider',
              type: 'end',
              atUs: lastUs,
              request,
              sourceFrames: total,
              samples: total,
            }
          : {
              source: 'provider',
              type: 'failure',
              atUs: lastUs,
              request,
              kind: planted.failure,
              code: `TTS_${planted.failure.toUpperCase()}`,
              message: 'the provider refused',
              retryable: false,
              deliveredSamples: total,
              ...place,
            },
      );
      const endUs = lastUs + planted.holdUs;
      let paddedSamples = 0;
      if (framed < taken) {
        const samples = new Int16Array(frameSamples);
        samples.set(audio.subarray(framed));
        paddedSamples = frameSamples - (taken - framed);
        sent.push(...samples);
        frames++;
        handle('AudioChunk', endUs, samples);
      }
      trace.push({
        source: 'server',
        type: 'framed',
        atUs: endUs,
        samplesIn: total,
        samplesOut: total + paddedSamples,
        paddedSamples,
        lostSamples: 0,
        frames,
        ...place,
      });
      handle('EndAudio', endUs);
      if (planted.clearedUs !== undefined) {
        messages.push({ atUs: planted.clearedUs, clear: true });
        const connected = { type: 'connected', connection: 2, reconnect: true } as const;
        toState(planted.clearedUs, 'Listening', 'barge-in');
        trace.push({ source: 'device', atUs: planted.clearedUs, ...connected });
      }
      const played = player.play(messages, sentence);
      trace.push(...played.events);
      // The main loop learns of it after the beginning of the cycle, too late for that cycle.
      gateUs = played.doneUs + 1;
      sentences.push({
        turn: number,
        firstPosition: played.firstPosition,
        firstAudiblePosition: played.firstAudiblePosition,
        emptyCycles: played.emptyCycles,
        drainedPosition: played.drainedPosition,
        paddedSamples,
      });
    }

    const writtenUs = Math.max(
      turn.firstTextUs,
      ...turn.sentences.flatMap((s) => s.chunks.map((c) => c.atUs + s.holdUs)),
    );
    const handledUs = Math.max(writtenUs, gateUs);
    const received = { writtenUs, receivedUs: handledUs, handledUs };
    trace.message({ turn: number, event: 'EndResponse', ...received });
    trace.push({
      source: 'server',
      type: 'turnEnd',
      atUs: writtenUs,
      turn: number,
      outcome: turn.serverOutcome ?? 'spoken',
    });
    toState(handledUs, 'Listening', 'EndResponse');
    trace.push({
      source: 'harness',
      type: 'turnEnd',
      atUs: Math.max(turn.endUs, handledUs),
      turn: number,
      outcome: turn.harnessOutcome ?? 'finished',
    });
  });

  const endUs = Math.max(...trace.events.map(({ atUs }) => atUs));
  trace.push(
    {
      source: 'device',
      type: 'finished',
      atUs: endUs,
      pushedSamples: pushed,
      playedSamples: pushed - player.restSamples - player.clearedSamples,
      clearedSamples: player.clearedSamples,
      queuedSamples: 0,
      heldSamples: 0,
      restSamples: player.restSamples,
    },
    { source: 'harness', type: 'end', atUs: endUs, outcome: 'finished' },
  );
  const cell = trace.cell({ speaker, sent: Int16Array.from(sent), provider });
  return { cell, truth: { sentences } };
}

/** A message for the player; one without content only takes a cycle. */
interface PlayerLetter {
  readonly atUs: number;
  readonly samples?: Int16Array;
  readonly end?: boolean;
  readonly clear?: boolean;
}

class PlantedPlayer {
  readonly #startUs: number;
  readonly #speaker: Int16Array;
  readonly #rest: number[];
  #cycle = 0;
  clearedSamples = 0;

  constructor(startUs: number, restSamples: number, speaker: Int16Array) {
    this.#startUs = startUs;
    this.#speaker = speaker;
    // Loud, so that a measurement that takes the old rest for the answer is found out.
    this.#rest = Array.from({ length: restSamples }, () => 3000);
  }

  get restSamples(): number {
    return this.#rest.length;
  }

  play(letters: readonly PlayerLetter[], sentence: number) {
    const inbox = [...letters];
    const queue: number[][] = [];
    const events: PlantedEvent[] = [];
    const emptyCycles: number[] = [];
    let own = -this.#rest.length;
    let firstPosition: number | null = null;
    let firstAudiblePosition: number | null = null;
    let lastEnd = 0;
    let underrunSince: number | null = null;
    const endUnderrun = (atUs: number) => {
      if (underrunSince === null) return;
      const cycles = this.#cycle - underrunSince;
      const position = this.#cycle * 256;
      events.push({ source: 'device', type: 'underrunEnd', atUs, sentence, position, cycles });
      underrunSince = null;
    };
    for (let ended = false; ; this.#cycle++) {
      const atUs = this.#startUs + this.#cycle * 16_000;
      const position = this.#cycle * 256;
      if (inbox[0] !== undefined && inbox[0].atUs <= atUs) {
        const letter = inbox.shift()!;
        if (letter.clear === true) {
          endUnderrun(atUs);
          const samples = queue.length * 256;
          this.clearedSamples += samples;
          if (samples > 0) {
            events.push({
              source: 'device',
              type: 'playerCleared',
              atUs,
              samples,
              cause: 'barge-in',
            });
          }
          this.#cycle++;
          return {
            events,
            doneUs: atUs,
            firstPosition,
            firstAudiblePosition,
            emptyCycles,
            drainedPosition: null,
          };
        }
        if (letter.end === true) ended = true;
        for (const sample of letter.samples ?? []) {
          this.#rest.push(sample);
          if (this.#rest.length === 256) queue.push(this.#rest.splice(0));
        }
      }
      const chunk = queue.shift();
      if (chunk !== undefined) {
        endUnderrun(atUs);
        if (firstPosition === null) {
          firstPosition = position;
          events.push({ source: 'device', type: 'playStart', atUs, sentence, position });
        }
        this.#speaker.set(chunk, position);
        const audible = chunk.findIndex((sample, i) => own + i >= 0 && sample !== 0);
        if (audible >= 0) firstAudiblePosition ??= position + audible;
        own += 256;
        lastEnd = position + 256;
      } else if (ended) {
        endUnderrun(atUs);
        const drainedPosition = firstPosition === null ? position : lastEnd;
        const restSamples = this.#rest.length;
        events.push({
          source: 'device',
          type: 'drained',
          atUs,
          sentence,
          position: drainedPosition,
          restSamples,
        });
        this.#cycle++;
        return {
          events,
          doneUs: atUs,
          firstPosition,
          firstAudiblePosition,
          emptyCycles,
          drainedPosition,
        };
      } else if (firstPosition !== null) {
        emptyCycles.push(this.#cycle);
        if (underrunSince === null) {
          underrunSince = this.#cycle;
          events.push({ source: 'device', type: 'underrunStart', atUs, sentence, position });
        }
      }
    }
  }
}
