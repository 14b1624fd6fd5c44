import http from 'node:http';
import type { FaultTable } from './planted-fault.ts';
import { type Exchange, reply, type ServiceServer, type Upgrade } from './provider-server.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';

/*
 * Faults that need no words of the service: what networks do, what a proxy in front of it says, and
 * what every conversation on a socket can come to.
 */

/** In the place of an answer. */
const ofAnswers = ['protocol', 'timeout', 'cut', 'stall'] as const;

/** A page of an ordinary web server, as hotel networks and misdirected URLs give it. */
export const strayPage =
  '<!doctype html><html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>';

/** Strikes an answer before its head is sent; false when no such fault is planted there. */
export function strikeAnswer(server: ServiceServer, exchange: Exchange): boolean {
  const struck = server.strike(exchange.entry, 'answer', ...ofAnswers);
  if (struck === 'protocol') reply(exchange, 200, 'text/html', strayPage);
  else if (struck === 'timeout') replyAsGateway(exchange, 504);
  else if (struck === 'cut') breakOff(server, exchange);
  return struck !== undefined;
}

/** What has been written arrives; then the connection ends without the end of the answer. */
export function breakOff(server: ServiceServer, { response, entry }: Exchange): void {
  server.conclude(entry, 'cut');
  response.socket?.end(() => response.destroy());
}

/**
 * As {@link strikeAnswer}, for a request to upgrade.
 *
 * @param tasks what can happen to the tasks of the socket, when they are what is counted
 */
export function strikeHandshake(
  server: ServiceServer,
  { stream, entry }: Upgrade,
  tasks?: FaultTable,
): boolean {
  const struck =
    tasks === undefined
      ? server.strike(entry, 'answer', ...ofAnswers)
      : server.strikeUpgrade(entry, tasks, ...ofAnswers);
  if (struck === 'protocol') server.refuseUpgrade(stream, entry, 200, strayPage);
  else if (struck === 'timeout') server.refuseUpgrade(stream, entry, 504, gatewayPage(504));
  else if (struck === 'cut') {
    server.conclude(entry, 'cut');
    stream.end(() => stream.destroy());
  } else if (struck === 'stall') {
    // Nobody else reads the connection, and its end has to be noticed.
    stream.once('end', () => stream.destroy()).resume();
  }
  return struck !== undefined;
}

/** Answers as a reverse proxy in front of the service does. */
export function replyAsGateway(exchange: Exchange, status: 413 | 504): void {
  exchange.entry.error = http.STATUS_CODES[status]!;
  reply(exchange, status, 'text/html', gatewayPage(status));
}

function gatewayPage(status: 413 | 504): string {
  const title = `${status} ${http.STATUS_CODES[status]}`;
  return `<html><head><title>${title}</title></head><body><center><h1>${title}</h1></center></body></html>`;
}

/** What a conversation on an open socket can come to. */
export interface Conversation {
  /** Nothing more is sent, the socket stays open. */
  mute(): void;
  /** The connection breaks without a close. */
  cut(): void;
  /** Sends something that is none of the protocol. */
  garble(): void;
  /** Sends the sign that all has been said, and goes on as after it. */
  finish(): void;
  /** Closes in order, without that sign. */
  leave(): void;
  /** Says in the service's words what went wrong, and closes. */
  fail(kind: StandInFaultKind): void;
}

/** What a fault does that has struck an open socket. */
export function strikeConversation(
  conversation: Conversation,
  kind: StandInFaultKind,
  moment: FaultMoment,
): void {
  switch (kind) {
    case 'stall':
      conversation.mute();
      break;
    case 'cut':
      conversation.cut();
      break;
    case 'protocol':
      conversation.garble();
      conversation.mute();
      break;
    case 'early-end':
      if (moment === 'end') conversation.leave();
      else conversation.finish();
      break;
    case 'empty':
      conversation.finish();
      break;
    default:
      conversation.fail(kind);
  }
}
