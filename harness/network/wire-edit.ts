/**
 * Changes to what the server's end of a connection says, piece by piece as its protocol cuts it: the head of an
 * HTTP answer, a chunk of its body, a WebSocket message.
 */

/** The head of an HTTP answer, that of an accepted upgrade included. */
export interface AnswerHead {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  /** How the end of the answer is told. */
  readonly framing: 'websocket' | 'chunks' | 'length' | 'close' | 'nothing';
}

export interface WirePiece {
  readonly kind: 'head' | 'body' | 'message' | 'end';
  /** Ordinal of the answer as its service counts it; 0: it counts none. */
  readonly answer: number;
  readonly head: AnswerHead;
  /** Without framing. Of a head: all of it, with the empty line. Empty at the end. */
  readonly bytes: Buffer;
  /** Of a WebSocket message. */
  readonly opcode?: number;
}

/** What is done in the place of a piece, in this order. */
export type WireAct =
  /** Framed as the piece was; with an opcode a WebSocket message of its own. */
  | { readonly act: 'send'; readonly bytes: Buffer; readonly opcode?: number }
  /** As it is, without framing. */
  | { readonly act: 'raw'; readonly bytes: Buffer }
  /** Nothing further leaves for so long. */
  | { readonly act: 'wait'; readonly us: number }
  /** Nothing further leaves until the client has answered a ping, which is sent. */
  | { readonly act: 'await-pong' }
  /** Nothing leaves any more; the connection stays open. */
  | { readonly act: 'mute' }
  /** As that, and what the client says is taken and lost: the other side is gone, and nobody says so. */
  | { readonly act: 'half-open' }
  /** The connection ends: in order, or with a reset. */
  | { readonly act: 'close'; readonly how: 'end' | 'reset' };

/** One change, with what it remembers. Asked with every piece of every answer that it is meant for. */
export interface WireEdit {
  /** What to do in the place of the piece. `undefined`: it is not concerned. */
  edit(piece: WirePiece): readonly WireAct[] | undefined;
}

/** Which edits an answer is subject to, asked anew with each piece. */
export type EditSource = (answer: number) => readonly WireEdit[];

/** Passes a piece through edits, one after the other: what the first one sends the second one may change. */
export function applyEdits(piece: WirePiece, edits: readonly WireEdit[]): WireAct[] {
  let acts: WireAct[] = [sent(piece)];
  for (const edit of edits) {
    acts = acts.flatMap((act): readonly WireAct[] => {
      if (act.act !== 'send') return [act];
      const { opcode = piece.opcode } = act;
      const again = { ...piece, bytes: act.bytes, ...(opcode !== undefined && { opcode }) };
      return edit.edit(again) ?? [act];
    });
  }
  return acts;
}

function sent({ bytes, opcode }: WirePiece): WireAct {
  return { act: 'send', bytes, ...(opcode !== undefined && { opcode }) };
}
