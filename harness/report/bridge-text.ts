/** A bridge for a person at a terminal, and as JSON, one document per line. */
import type { BridgeTraffic, Flow } from '../serial/bridge-traffic.ts';
import type { BridgeEvent } from '../serial/serial-link-bridge.ts';
import type { Cleaning, ConsoleColors } from './console-text.ts';
import { neutralize } from './terminal-text.ts';

type LinkEvent = Extract<BridgeEvent, { kind: 'link' }>['event'];
type Peer = Extract<LinkEvent, { kind: 'connected' }>['peer'];
type BoardMessage = Extract<LinkEvent, { kind: 'message' }>['message'];

interface Told {
  readonly text: string;
  readonly weight: 'note' | 'trouble';
  /** For programs. */
  readonly data: { readonly type: string; readonly [key: string]: unknown };
}

/** Turns the events of a bridge into words. Remembers whether there was a link before. */
export class BridgeTeller {
  #links = 0;

  /** Undefined for what is only counted. */
  tell(event: BridgeEvent): Told | undefined {
    switch (event.kind) {
      case 'link':
        return this.#link(event.event);
      case 'server-opening': {
        const { connection, target } = event;
        return note(`server: connection ${connection} is being made, ${target}`, {
          type: 'server-opening',
          connection,
          target,
        });
      }
      case 'server-opened': {
        const { connection } = event;
        return note(`server: connection ${connection} stands`, {
          type: 'server-opened',
          connection,
        });
      }
      case 'server-closed': {
        const { connection, by, code, reason } = event;
        const why = reason === '' ? `${code}` : `${code}, ${reason}`;
        const told = by === 'board' || code === 1000 || code === 1001 ? note : trouble;
        const data = { type: 'server-closed', connection, by, code, reason };
        return told(`server: connection ${connection} was ended by the ${by} (${why})`, data);
      }
      case 'not-relayed': {
        const { to, bytes, reason } = event;
        const data = { type: 'not-relayed', to, bytes, reason };
        return trouble(`${bytes} bytes were not relayed to the ${to}: ${reason}`, data);
      }
      case 'relayed':
      case 'delivered':
        return undefined;
    }
  }

  #link(event: LinkEvent): Told | undefined {
    switch (event.kind) {
      case 'connected': {
        const again = this.#links > 0;
        this.#links += 1;
        const { name, capabilities, window, frameMaximumBytes } = event.peer;
        return note(`link: ${again ? 'reconnected' : 'connected'} ${describePeer(event.peer)}`, {
          type: 'link-connected',
          again,
          name,
          capabilities,
          window,
          frameMaximumBytes,
        });
      }
      case 'disconnected': {
        const undelivered = event.undelivered.length;
        const lost = undelivered === 0 ? '' : `; ${undelivered} messages may not have arrived`;
        const told = event.reason === 'closed' ? note : trouble;
        const data = { type: 'link-disconnected', reason: event.reason, undelivered };
        return told(`link: over, ${endings[event.reason]}${lost}`, data);
      }
      case 'refused':
        return trouble(`link: refused, ${event.explanation}`, {
          type: 'link-refused',
          by: event.by,
          reason: event.reason,
          explanation: event.explanation,
        });
      case 'invalid-message':
        return trouble(`link: a message of type ${event.type} means nothing: ${event.reason}`, {
          type: 'link-invalid-message',
          messageType: event.type,
          reason: event.reason,
        });
      case 'message':
        return ofBoard(event.message);
      default:
        return undefined;
    }
  }
}

const endings = {
  restarted: 'the board has restarted',
  silent: 'nothing came from the board for 5 s',
  unacknowledged: 'the board does not acknowledge what is sent to it',
  closed: 'it was closed',
  violation: 'one of the ends has broken the protocol',
} as const;

function ofBoard(message: BoardMessage): Told | undefined {
  switch (message.type) {
    case 'board-info': {
      const facts = Object.entries(message.facts).map(([key, value]) => `${key} ${value}`);
      return note(`board: ${facts.join(', ')}`, { type: 'board-info', facts: message.facts });
    }
    case 'board-state': {
      const { state, volume } = message;
      return note(`board: ${state}, volume ${volume}`, { type: 'board-state', state, volume });
    }
    case 'key': {
      const { key, action, durationMs } = message;
      const held = durationMs > 0 ? ` after ${durationMs} ms` : '';
      return note(`board: ${key} ${action}${held}`, { type: 'board-key', key, action, durationMs });
    }
    default:
      return undefined;
  }
}

function describePeer({ name, capabilities, window, frameMaximumBytes }: Peer): string {
  const can = [
    ...(capabilities.includes('inject-microphone') ? ['takes microphone samples'] : []),
    ...(capabilities.includes('tap-speaker') ? ['hands out its speaker'] : []),
    ...(capabilities.includes('keys') ? ['takes keys'] : []),
  ];
  const abilities = can.length === 0 ? '' : `; ${can.join(', ')}`;
  const who = name === '' ? 'to a board without a name' : `to "${name}"`;
  return `${who}: frames of ${frameMaximumBytes} bytes, window ${window}${abilities}`;
}

/** One line about what has passed. */
export function renderTraffic(traffic: BridgeTraffic): string {
  const { seconds, toServer, toBoard, notRelayed, repeated, damaged, sentAgain } = traffic;
  const flow = ({ messages, bytes }: Flow): string => {
    const perSecond = seconds > 0 ? ` (${kilobytes(bytes / seconds)}/s)` : '';
    return `${messages} ${messages === 1 ? 'message' : 'messages'}, ${kilobytes(bytes)}${perSecond}`;
  };
  const odd = [
    [repeated, 'frames repeated'],
    [damaged, 'frames of the board damaged'],
    [sentAgain, 'sent twice by the board'],
    [notRelayed, 'not relayed'],
  ] as const;
  return [
    `to the server ${flow(toServer)}`,
    `to the board ${flow(toBoard)}`,
    ...odd.filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`),
  ].join('; ');
}

export function trafficData(traffic: BridgeTraffic, total: boolean): Told['data'] {
  return { type: total ? 'traffic-total' : 'traffic', ...traffic };
}

export function renderTold({ text, weight }: Told, colors: ConsoleColors, clean: Cleaning): string {
  return (weight === 'trouble' ? colors.magenta : colors.cyan)(`-- ${neutralize(clean(text))}`);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`;
}

function note(text: string, data: Told['data']): Told {
  return { text, weight: 'note', data };
}

function trouble(text: string, data: Told['data']): Told {
  return { text, weight: 'trouble', data };
}
