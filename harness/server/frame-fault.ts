/**
 * Faults of what the server sends to a board: they happen to its messages behind the server, so that it does not
 * know of them.
 */
import { decodeServerEvent, type ServerEventType } from '../../firmware-protocol/server-event.ts';
import { encodeFrame, opcodes } from '../network/web-socket-frame.ts';
import type { WireAct, WireEdit, WirePiece } from '../network/wire-edit.ts';

export const frameFaultKinds = [
  'delay',
  'duplicate',
  'reorder',
  'drop',
  'garbage',
  'fragment',
  'cut',
] as const;

export interface FrameFault {
  readonly kind: (typeof frameFaultKinds)[number];
  /** Of this type; `sound`: whatever carries sound. */
  readonly event: ServerEventType | 'sound';
  /** From 1 in the turn. */
  readonly nth: number;
  /** Of a delay. */
  readonly ms?: number;
}

export interface FrameFaultObserver {
  struck(): void;
}

const soundTypes: readonly ServerEventType[] = [
  'AudioChunk',
  'AudioChunkWithVowel',
  'AudioChunki16',
];

/** A fault as a change of what the server says. One object for each planned fault. */
export function frameFaultEdit(fault: FrameFault, observer: FrameFaultObserver): FrameFaultEdit {
  return new FrameFaultEdit(fault, observer);
}

export class FrameFaultEdit implements WireEdit {
  readonly #fault: FrameFault;
  readonly #observer: FrameFaultObserver;
  #seen = 0;
  #held: WireAct | undefined;

  constructor(fault: FrameFault, observer: FrameFaultObserver) {
    this.#fault = fault;
    this.#observer = observer;
  }

  /** Messages of the kind that have passed. */
  get seen(): number {
    return this.#seen;
  }

  edit(piece: WirePiece): readonly WireAct[] | undefined {
    const { opcode, bytes } = piece;
    if (piece.kind !== 'message' || opcode !== opcodes.binary) return undefined;
    const own: WireAct = { act: 'send', bytes, opcode };
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) return [own, held];
    if (!this.#isMeant(bytes)) return undefined;
    this.#seen += 1;
    if (this.#seen !== this.#fault.nth) return undefined;
    this.#observer.struck();
    return this.#strike(own, bytes);
  }

  #isMeant(bytes: Buffer): boolean {
    const { event } = this.#fault;
    const decoded = decodeServerEvent(bytes, { dialect: 'any' });
    if (!decoded.ok) return false;
    return event === 'sound'
      ? soundTypes.includes(decoded.event.type)
      : decoded.event.type === event;
  }

  #strike(own: WireAct, bytes: Buffer): readonly WireAct[] {
    const { kind, ms = 0 } = this.#fault;
    const { binary, continuation } = opcodes;
    switch (kind) {
      case 'delay':
        return [{ act: 'wait', us: ms * 1000 }, own];
      case 'duplicate':
        return [own, own];
      case 'reorder':
        this.#held = own;
        return [];
      case 'drop':
        return [];
      case 'garbage':
        // No MessagePack value begins with it.
        return [{ act: 'send', bytes: Buffer.alloc(bytes.length, 0xc1), opcode: binary }];
      case 'cut':
        return [{ act: 'send', bytes: bytes.subarray(0, bytes.length >> 1), opcode: binary }];
      case 'fragment': {
        const half = bytes.length >> 1;
        const parts = [
          encodeFrame({ final: false, opcode: binary, payload: bytes.subarray(0, half) }),
          encodeFrame({ opcode: continuation, payload: bytes.subarray(half) }),
        ];
        return [{ act: 'raw', bytes: Buffer.concat(parts) }];
      }
    }
  }
}
