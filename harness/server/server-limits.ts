/**
 * What strangers can take of this server: every bound on what comes from outside, with what happens when it is reached.
 * `docs/limits.md` has them all in one table, which a test compares with this file.
 */

/** Bounds of connections, requests and messages. Durations in ms, sizes in bytes unless the name says otherwise. */
export interface ServerLimits {
  /** Open connections, of whatever kind; another one is answered with 503 (`SERVER_CONNECTIONS`). */
  readonly connections: number;
  /** Connections that have not asked for anything yet; for another one the oldest of them is given up. */
  readonly handshakes: number;
  /** From a connection to its complete request; then it is ended (`SERVER_HANDSHAKE_TIMEOUT`). A board waits as long as its link stalls (quirk Q40). */
  readonly handshakeMs: number;
  /** From a plain request to the last byte of its answer; then the connection is ended. */
  readonly answerMs: number;
  /** Request line and headers; more is answered with 431 (`SERVER_REQUEST_TOO_LARGE`). */
  readonly requestHeadBytes: number;
  /** Recordings that are downloaded at the same time; another one is answered with 503 (`SERVER_DOWNLOADS`). */
  readonly downloads: number;
  /** Characters of a device id; a longer one is answered with 400 (`SERVER_DEVICE_ID`). */
  readonly deviceIdCharacters: number;
  /** Open connections of one device id; for another one the oldest is closed (`SERVER_CONNECTIONS_OF_DEVICE`). */
  readonly connectionsPerDevice: number;
  /** Conversations that are remembered; above it the oldest one without a connection is forgotten. */
  readonly conversations: number;
  /** Messages, pings and pongs that may come at once … */
  readonly messagesAtOnce: number;
  /** … and from then on each second; more close the connection (`SERVER_TOO_MANY_MESSAGES`). */
  readonly messagesPerSecond: number;
  /** Bytes of messages that may come at once, 17 minutes of audio … */
  readonly bytesAtOnce: number;
  /** … and from then on each second, 32 times the pace of a board; more, as above. */
  readonly bytesPerSecond: number;
  /** Messages that wait to be dealt with before the socket is not read any more, as the reference server has it (7.1). */
  readonly inboxMessages: number;
  /** Bytes of audio in them, to the same effect. */
  readonly inboxBytes: number;
  /** A command longer than this is ignored. */
  readonly commandBytes: number;
  /** Without the device taking anything while something waits for it; then the connection is closed (`SERVER_DEVICE_STALLED`). */
  readonly stalledMs: number;
  /** Without a message in any direction; then the connection is closed (`SERVER_IDLE`). A board in use sends within 300 s (5.5). */
  readonly idleMs: number;
  /** Audio of one turn; then the turn has failed (`SERVER_UTTERANCE_TOO_LONG`). */
  readonly utteranceSamples: number;
  /** Audio of one recording; then it is complete (`SERVER_RECORDING_TOO_LONG`). */
  readonly recordingSamples: number;
  /** Characters of one reply; then the turn has failed, and what came before is spoken (`SERVER_REPLY_TOO_LONG`). */
  readonly replyCharacters: number;
  /** Exchanges that are remembered of a conversation; older ones are forgotten. */
  readonly historyExchanges: number;
}

export const serverLimits: ServerLimits = {
  connections: 4096,
  handshakes: 1024,
  handshakeMs: 60_000,
  answerMs: 60_000,
  requestHeadBytes: 16 * 1024,
  downloads: 8,
  deviceIdCharacters: 256,
  connectionsPerDevice: 16,
  conversations: 4096,
  messagesAtOnce: 4096,
  messagesPerSecond: 512,
  bytesAtOnce: 32 * 1024 * 1024,
  bytesPerSecond: 1024 * 1024,
  inboxMessages: 1024,
  inboxBytes: 32 * 1024 * 1024,
  commandBytes: 1024 * 1024,
  stalledMs: 120_000,
  idleMs: 3_600_000,
  utteranceSamples: 600 * 16_000,
  recordingSamples: 3600 * 16_000,
  replyCharacters: 100_000,
  historyExchanges: 1000,
};

/** Why somebody was not let in. */
export type RefusalCode =
  | 'SERVER_TOKEN'
  | 'SERVER_ORIGIN'
  | 'SERVER_DEVICE_ID'
  | 'SERVER_CONNECTIONS'
  | 'SERVER_DOWNLOADS'
  | 'SERVER_HANDSHAKE_TIMEOUT'
  | 'SERVER_REQUEST_TOO_LARGE';

/** Why the server ended a connection. */
export type CutCode =
  | 'SERVER_CONNECTIONS_OF_DEVICE'
  | 'SERVER_TOO_MANY_MESSAGES'
  | 'SERVER_MESSAGE_TOO_LARGE'
  | 'SERVER_DEVICE_STALLED'
  | 'SERVER_IDLE'
  | 'SERVER_RECORDING_FAILED';

/** A turn that went beyond a limit. It fails; the connection lives on. */
export class TurnLimitError extends Error {
  override readonly name = 'TurnLimitError';
  readonly code: 'SERVER_UTTERANCE_TOO_LONG' | 'SERVER_REPLY_TOO_LONG';

  constructor(code: TurnLimitError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Why this cannot be the id of a device; nothing when it can. It is shown and recorded, and never names a file by itself. */
export function deviceIdProblem(
  id: string,
  { deviceIdCharacters }: ServerLimits,
): string | undefined {
  const { length } = id;
  if (length > deviceIdCharacters) {
    return `A device id has at most ${deviceIdCharacters} characters; this one has ${length}.`;
  }
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(id)) return 'A device id has no control characters.';
  return undefined;
}
