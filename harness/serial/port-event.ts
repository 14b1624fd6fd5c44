import type { PortHolder } from './port-list.ts';
import type { SerialError } from './serial-error.ts';

/** What happens to a port beside its bytes, worth a line of a log. */
export type PortEvent = {
  readonly atUs: number;
} /** The port was busy; it is tried again after this wait (R03). */ & (
  | { readonly type: 'retry'; readonly waitUs: number; readonly problem: SerialError }
  /** Opening the port has reset the board although no line was moved (R01). */
  | { readonly type: 'resetOnOpen'; readonly afterUs: number }
  /** Other programs have it open, too, and may take bytes away (R03). */
  | { readonly type: 'shared'; readonly holders: readonly PortHolder[] }
  /** An RFC 2217 server did not acknowledge a command; it is taken for done. */
  | { readonly type: 'unacknowledged'; readonly command: string }
  /** Modem lines towards us, as an RFC 2217 server reports them. */
  | {
      readonly type: 'modemState';
      readonly cts: boolean;
      readonly dsr: boolean;
      readonly ring: boolean;
      readonly carrier: boolean;
    }
  /** Errors on the line, as an RFC 2217 server reports them. */
  | {
      readonly type: 'lineState';
      readonly overrun: boolean;
      readonly parity: boolean;
      readonly framing: boolean;
      readonly breakDetected: boolean;
    }
);
