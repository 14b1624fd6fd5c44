/**
 * What DTR and RTS do to the chip (EchoKit device protocol reference, section 8.1). `true` is "asserted".
 * Pure.
 */
export interface Lines {
  readonly dtr: boolean;
  readonly rts: boolean;
}

export const linesOff: Lines = { dtr: false, rts: false };

/** How a USB socket of a board is connected to its chip. */
export interface LineCircuit {
  /** The pins as these lines leave them. `true` is low. */
  pins(lines: Lines): { readonly enableLow: boolean; readonly gpio0Low: boolean };
  /** Whether the change resets the chip by itself, without its pins, and into what. */
  reset(before: Lines, after: Lines): 'run' | 'download' | undefined;
}

/**
 * A bridge (CP210x, CH340) with two crossed transistors: each line pulls its pin only while the other is off, so that
 * both on, as many systems leave them when they open a port, does nothing.
 */
export function bridgeCircuit(): LineCircuit {
  return {
    pins: ({ dtr, rts }) => ({ enableLow: rts && !dtr, gpio0Low: dtr && !rts }),
    reset: () => undefined,
  };
}

/**
 * The USB-Serial-JTAG unit of the chip reads the lines itself: DTR alone asks for download mode, none withdraws that,
 * RTS alone resets, and both together do nothing. No pin moves.
 */
export function usbJtagCircuit(): LineCircuit {
  let download = false;
  return {
    pins: () => ({ enableLow: false, gpio0Low: false }),
    reset: (before, { dtr, rts }) => {
      if (!rts) {
        download = dtr;
        return undefined;
      }
      const already = before.rts && !before.dtr;
      return dtr || already ? undefined : download ? 'download' : 'run';
    },
  };
}
