import type { Alarm } from '../clock/clock.ts';
import type { ReplyPace } from './dialogue-script.ts';
import type { Exchange, ServiceServer } from './provider-server.ts';
import { breakOff } from './wordless-faults.ts';

export interface ReplyCallbacks {
  /** The instant of the first token, also of a reply without any. */
  readonly begin: () => void;
  readonly token: (text: string) => void;
  /** After the last token. */
  readonly end: () => void;
}

/** Share of the gap between two tokens by which one of them may be late: a normal's deviation. */
const lateness = 0.25;

/**
 * Writes a reply token by token, with the faults that strike behind its head: `cut` breaks the
 * connection, `early-end` ends the body where it is, `stall` leaves it open, `empty` has no token.
 * Token `i` (from 0) is due `firstTokenMs + i / tokensPerSecond` after the call, all but the first
 * later by the magnitude of a normal. Stops when the client goes away.
 */
export function deliverReply(
  server: ServiceServer,
  exchange: Exchange,
  reply: readonly string[],
  pace: ReplyPace,
  callbacks: ReplyCallbacks,
): void {
  const { response, entry } = exchange;
  const { clock } = server.options;
  const fault = server.faultOf(entry);
  const tokens =
    fault === undefined ? reply : reply.slice(0, Math.floor(reply.length * fault.share));
  const random = exchange.random.fork('tokens');
  const startUs = clock.nowUs() + Math.round(pace.firstTokenMs * 1000);
  const gapUs = 1_000_000 / pace.tokensPerSecond;
  let alarm: Alarm | undefined;
  let index = 0;
  entry.text = '';

  const finish = (): void => {
    const struck = fault && server.strike(entry, fault.moment);
    if (struck === 'stall') return;
    if (struck === 'cut') breakOff(server, exchange);
    else if (struck === 'early-end') response.end();
    else callbacks.end();
  };
  const next = (): void => {
    const token = tokens[index];
    if (token === undefined) {
      finish();
      return;
    }
    index++;
    entry.text += token;
    callbacks.token(token);
    const late = Math.abs(random.normal()) * lateness * gapUs;
    const dueUs = startUs + Math.round(index * gapUs + (index < tokens.length ? late : 0));
    if (index === tokens.length) finish();
    else alarm = clock.after(Math.max(0, dueUs - clock.nowUs()), next);
  };
  alarm = clock.after(startUs - clock.nowUs(), () => {
    callbacks.begin();
    next();
  });
  response.once('close', () => alarm?.cancel());
}

/**
 * Cuts a text into pieces the size of a language model's tokens: a word with the space before it, a
 * long word in several, a character of a script without spaces alone. They join to the text.
 */
export function tokensOf(text: string): string[] {
  return (
    text.match(
      /\s*(?:[\p{Script=Han}\p{Script=Kana}]|[^\s\p{Script=Han}\p{Script=Kana}]{1,6})|\s+$/gu,
    ) ?? []
  );
}
