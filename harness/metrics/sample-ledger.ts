/**
 * The ledger of samples: the stages on the way from the provider to the speaker, what may become of
 * a sample between two of them, and the book in which both are noted, turn by turn. All counts are
 * 16 kHz samples.
 */

export const conservationStages = [
  'provider', // sample frames decoded at the provider's rate, converted to 16 kHz by arithmetic
  'normalised', // samples the adapter yielded
  'framed', // samples in frames written to the board
  'received', // samples in frames that arrived at the board
  'decoded', // samples the board decoded
  'pushed', // samples meant for the player: accepted by the board, hello sound included
  'played', // samples that left the player
] as const;
export type ConservationStage = (typeof conservationStages)[number];

export interface CauseDefinition {
  /** The stage on the way to which it happens. */
  readonly to: ConservationStage;
  /** A few words for a table. */
  readonly title: string;
  readonly definition: string;
  /** Nobody wished for it: a fault of a server, of a packet or of the board. */
  readonly defect?: true;
  /** Item of the EchoKit server's ways that does it (`harness/server/compat-items.ts`). */
  readonly compat?: string;
}

export const differenceCauses = {
  resampling: {
    to: 'normalised',
    title: 'resampling',
    definition: 'a clip at another rate ends between two samples of ours',
  },
  interrupted: {
    to: 'framed',
    title: 'cut, not framed',
    definition: 'taken from the provider but not framed, because the sentence was cut',
  },
  padding: {
    to: 'framed',
    title: 'padding',
    definition: 'zeros that fill the last packet of a sentence',
  },
  remainder: {
    to: 'framed',
    title: 'rest of blocks',
    definition: 'of a block of audio, what fills no packet of 1920: the server drops it',
    defect: true,
    compat: 'audio-blocks',
  },
  tail: {
    to: 'framed',
    title: 'end of sentences',
    definition: 'of the last, shorter block of a sentence, what fills no packet: dropped, too',
    defect: true,
    compat: 'audio-blocks',
  },
  lost: {
    to: 'framed',
    title: 'cut in the framer',
    definition: 'taken by the framer of a sentence that was cut',
  },
  inFlight: {
    to: 'received',
    title: 'connection ended',
    definition: 'written, but the connection or the recording ended first',
  },
  concealed: {
    to: 'decoded',
    title: 'concealed',
    definition: 'made up by the decoder in the place of an empty packet',
    defect: true,
  },
  rejected: {
    to: 'decoded',
    title: 'undecodable',
    definition: 'the board could not decode the message',
    defect: true,
  },
  unread: {
    to: 'decoded',
    title: 'never taken',
    definition: 'arrived, but the board took nothing more from this connection',
  },
  dropped: {
    to: 'pushed',
    title: 'dropped in state',
    definition: 'thrown away by the board because of its state',
  },
  hello: {
    to: 'pushed',
    title: 'hello sound',
    definition: 'hello sound or beep, played by the board itself',
  },
  holdDiscarded: {
    to: 'played',
    title: 'held, discarded',
    definition: 'held back by the board and then thrown away',
  },
  heldOver: {
    to: 'played',
    title: 'held for a turn',
    definition: 'held back in one turn and handed to the player in another (quirk Q21)',
  },
  held: {
    to: 'played',
    title: 'still held',
    definition: 'still held back at the end',
  },
  cleared: {
    to: 'played',
    title: 'cleared',
    definition: 'queued and thrown away by an interruption or a restart',
  },
  queued: {
    to: 'played',
    title: 'still queued',
    definition: 'still queued at the end',
  },
  rest: {
    to: 'played',
    title: 'rest',
    definition:
      'does not fill a chunk of 256: it stays in the player and is played in front of the next sound',
  },
} as const satisfies Readonly<Record<string, CauseDefinition>>;
export type DifferenceCause = keyof typeof differenceCauses;

/** What is known of a cause, for code that treats all of them alike. */
export function causeDefinition(cause: DifferenceCause): CauseDefinition {
  return differenceCauses[cause];
}

export interface Difference {
  readonly to: ConservationStage;
  readonly cause: DifferenceCause;
  /** Signed: what the cause adds on the way to stage `to`. */
  readonly samples: number;
}

/** One stage and the way to it: `samples` of the stage before + differences + `unexplained`. */
export interface LedgerStage {
  readonly stage: ConservationStage;
  /** Null for a stage the recording knows nothing about. */
  readonly samples: number | null;
  /** On the way to this stage, in the order of {@link differenceCauses}; none is 0. */
  readonly differences: readonly Difference[];
  /** What no cause covers; null where this stage or the one before is not known. */
  readonly unexplained: number | null;
}

/** In the order of {@link conservationStages}. */
export type SampleLedger = readonly LedgerStage[];

export interface Unexplained {
  readonly to: ConservationStage;
  readonly samples: number;
  readonly what: string;
  readonly turn: number | null;
  readonly sentence: number | null;
  readonly seqs: readonly number[];
}

export type Place = Partial<Pick<Unexplained, 'turn' | 'sentence' | 'seqs'>>;

/** A turn of the scenario, or null for what belongs to none. */
export type LedgerTurn = number | null;

export class SampleBook {
  readonly unexplained: Unexplained[] = [];
  readonly #samples = new Map<LedgerTurn, Map<ConservationStage, number>>();
  readonly #explained = new Map<LedgerTurn, Map<DifferenceCause, number>>();

  /** Notes that `samples` of `turn` reached the stage. */
  count(stage: ConservationStage, samples: number, turn: LedgerTurn): void {
    add(this.#samples, turn, stage, samples);
  }

  /** @param samples signed: what the cause adds */
  explain(cause: DifferenceCause, samples: number, turn: LedgerTurn): void {
    add(this.#explained, turn, cause, samples);
  }

  /** Notes that `actual` should have been `expected`. */
  expect(
    to: ConservationStage,
    what: string,
    actual: number,
    expected: number,
    place: Place,
  ): void {
    if (actual === expected) return;
    const samples = actual - expected;
    const text = `${what}: ${actual}, expected ${expected}`;
    this.unexplained.push({
      to,
      samples,
      what: text,
      turn: null,
      sentence: null,
      seqs: [],
      ...place,
    });
  }

  /** What has been counted of a stage so far. */
  counted(stage: ConservationStage): number {
    return total(this.#samples, stage);
  }

  /** What a cause has been given so far. */
  explained(cause: DifferenceCause): number {
    return total(this.#explained, cause);
  }

  /**
   * @param turns whose samples to add up
   * @param known stages of which the recording knows anything
   */
  ledger(turns: readonly LedgerTurn[], known: ReadonlySet<ConservationStage>): SampleLedger {
    const sum = <Key>(notes: Map<LedgerTurn, Map<Key, number>>, key: Key): number =>
      turns.reduce<number>((all, turn) => all + (notes.get(turn)?.get(key) ?? 0), 0);
    const reached = conservationStages.map((stage) =>
      known.has(stage) ? sum(this.#samples, stage) : null,
    );
    return conservationStages.map((stage, i): LedgerStage => {
      const samples = reached[i]!;
      const differences = causes.flatMap((cause): Difference[] => {
        if (samples === null || differenceCauses[cause].to !== stage) return [];
        const amount = sum(this.#explained, cause);
        return amount === 0 ? [] : [{ to: stage, cause, samples: amount }];
      });
      const caused = differences.reduce((all, difference) => all + difference.samples, 0);
      // Nothing is before the first stage.
      const from = i === 0 ? samples : reached[i - 1]!;
      const unexplained = samples === null || from === null ? null : samples - from - caused;
      return { stage, samples, differences, unexplained };
    });
  }
}

const causes = Object.keys(differenceCauses) as DifferenceCause[];

function total<Key>(notes: Map<LedgerTurn, Map<Key, number>>, key: Key): number {
  return [...notes.values()].reduce((sum, amounts) => sum + (amounts.get(key) ?? 0), 0);
}

function add<Key>(
  notes: Map<LedgerTurn, Map<Key, number>>,
  turn: LedgerTurn,
  key: Key,
  samples: number,
): void {
  let amounts = notes.get(turn);
  if (amounts === undefined) {
    amounts = new Map();
    notes.set(turn, amounts);
  }
  amounts.set(key, (amounts.get(key) ?? 0) + samples);
}
