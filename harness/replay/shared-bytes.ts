import type { ProviderAct, RecordedTraffic } from './recorded-exchange.ts';

/** One after the other, in memory that threads share: a message hands it on without a copy and leaves no garbage. */
export function sharedBytes(pieces: readonly Uint8Array[]): Buffer<SharedArrayBuffer> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const all = Buffer.from(new SharedArrayBuffer(length));
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return all;
}

/** The same traffic; what the provider sends lies in one memory that threads share. */
export function withSharedAnswers({ dials, exchanges }: RecordedTraffic): RecordedTraffic {
  const acts = [
    ...dials.flatMap(({ opening }) => opening),
    ...exchanges.flatMap(({ answers }) => answers),
  ].map(({ act }) => act);
  const all = sharedBytes(acts.flatMap((act) => (act.kind === 'bytes' ? [act.data] : [])));
  const shared = new Map<ProviderAct, ProviderAct>();
  let offset = 0;
  for (const act of acts) {
    if (act.kind !== 'bytes') continue;
    shared.set(act, { kind: 'bytes', data: all.subarray(offset, offset + act.data.length) });
    offset += act.data.length;
  }
  const same = <One extends { readonly act: ProviderAct }>(one: One): One => ({
    ...one,
    act: shared.get(one.act) ?? one.act,
  });
  return {
    dials: dials.map((dial) => ({ ...dial, opening: dial.opening.map(same) })),
    exchanges: exchanges.map((exchange) => ({ ...exchange, answers: exchange.answers.map(same) })),
  };
}
