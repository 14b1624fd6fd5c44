/** Telnet (RFC 854, 855) as far as a serial port needs it. Pure. */
export const telnet = {
  subnegotiationEnd: 240,
  subnegotiation: 250,
  will: 251,
  wont: 252,
  do: 253,
  dont: 254,
  iac: 255,
} as const;

export type Negotiation = 'will' | 'wont' | 'do' | 'dont';

export type TelnetItem =
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'negotiation'; readonly verb: Negotiation; readonly option: number }
  | { readonly kind: 'subnegotiation'; readonly option: number; readonly payload: Uint8Array };

const verbs: { readonly [code: number]: Negotiation } = {
  [telnet.will]: 'will',
  [telnet.wont]: 'wont',
  [telnet.do]: 'do',
  [telnet.dont]: 'dont',
};

/** No command of a serial port is near it; what is longer is left out. */
const subnegotiationMaximum = 512;

/** Takes telnet apart, however it is cut. Commands without meaning here are left out. */
export class TelnetReader {
  #state: 'data' | 'command' | 'option' | 'inside' | 'inside command' = 'data';
  #verb: Negotiation = 'will';
  #payload: number[] = [];

  push(bytes: Uint8Array): TelnetItem[] {
    const items: TelnetItem[] = [];
    let data: number[] = [];
    const flush = () => {
      if (data.length > 0) items.push({ kind: 'data', bytes: Uint8Array.from(data) });
      data = [];
    };
    for (const byte of bytes) {
      switch (this.#state) {
        case 'data':
          if (byte === telnet.iac) this.#state = 'command';
          else data.push(byte);
          break;
        case 'command':
          this.#state = 'data';
          if (byte === telnet.iac) data.push(byte);
          else if (byte === telnet.subnegotiation) {
            this.#payload = [];
            this.#state = 'inside';
          } else if (verbs[byte] !== undefined) {
            this.#verb = verbs[byte];
            this.#state = 'option';
          }
          break;
        case 'option':
          this.#state = 'data';
          flush();
          items.push({ kind: 'negotiation', verb: this.#verb, option: byte });
          break;
        case 'inside':
          if (byte === telnet.iac) this.#state = 'inside command';
          else this.#payload.push(byte);
          break;
        case 'inside command':
          if (byte === telnet.iac) {
            this.#payload.push(byte);
            this.#state = 'inside';
            break;
          }
          // Anything but the end is a broken subnegotiation; data goes on behind it.
          this.#state = 'data';
          if (byte === telnet.subnegotiationEnd && this.#payload.length > 0) {
            flush();
            const [option, ...payload] = this.#payload;
            items.push({
              kind: 'subnegotiation',
              option: option!,
              payload: Uint8Array.from(payload),
            });
          }
          break;
      }
      if (this.#payload.length > subnegotiationMaximum) {
        this.#payload = [];
        this.#state = 'data';
      }
    }
    flush();
    return items;
  }
}

/** Data with every 255 doubled. */
export function escapeTelnet(bytes: Uint8Array): Uint8Array {
  const doubled: number[] = [];
  for (const byte of bytes) {
    doubled.push(byte);
    if (byte === telnet.iac) doubled.push(byte);
  }
  return Uint8Array.from(doubled);
}

export function negotiate(verb: Negotiation, option: number): Uint8Array {
  return Uint8Array.of(telnet.iac, telnet[verb], option);
}

export function subnegotiate(option: number, payload: readonly number[]): Uint8Array {
  return Uint8Array.of(
    telnet.iac,
    telnet.subnegotiation,
    option,
    ...escapeTelnet(Uint8Array.from(payload)),
    telnet.iac,
    telnet.subnegotiationEnd,
  );
}
