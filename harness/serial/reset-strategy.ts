/**
 * Ways to reset a board through DTR and RTS, as data. The grammar is the one users know from esptool's
 * `custom_reset_sequence`: steps between vertical bars, each a letter and its argument.
 *
 * | step     | meaning                                            |
 * | -------- | -------------------------------------------------- |
 * | `D0`     | DTR off; `D1`: on ("asserted": the pin is low)     |
 * | `R0`     | RTS off; `R1`: on                                  |
 * | `U0,1`   | both in one step: DTR, then RTS                    |
 * | `W0.1`   | wait, in seconds                                   |
 *
 * What the lines do to a board: EchoKit device protocol reference, section 8.1.
 */
import type { ModemLines } from './board-port.ts';
import { SerialError } from './serial-error.ts';

export type ResetStep =
  | { readonly kind: 'lines'; readonly text: string; readonly lines: ModemLines }
  | { readonly kind: 'wait'; readonly text: string; readonly durationUs: number };

export interface ResetStrategy {
  /** A name of {@link resetStrategies}, or the text itself. */
  readonly name: string;
  readonly text: string;
  readonly steps: readonly ResetStep[];
}

/** Longer waits are taken for a mistake of units. */
const waitMaximumSeconds = 60;

/** @throws {SerialError} `SERIAL_RESET_STRATEGY` with the column */
export function parseResetStrategy(text: string, name = text): ResetStrategy {
  const steps: ResetStep[] = [];
  let column = 1;
  for (const part of text.split('|')) {
    const step = part.trim();
    const at = column + part.length - part.trimStart().length;
    const parsed = parseStep(step);
    if (typeof parsed === 'string') {
      throw new SerialError(
        'SERIAL_RESET_STRATEGY',
        `Reset strategy "${text}", column ${at}: ${parsed}.`,
        'Steps are D0, D1 (DTR), R0, R1 (RTS), U0,1 (both) and W0.1 (seconds), with | between them; ' +
          `or take a built-in one: ${Object.keys(strategyTexts).join(', ')}.`,
      );
    }
    steps.push(parsed);
    column += part.length + 1;
  }
  return { name, text, steps };
}

/** The step, or what is wrong with it. */
function parseStep(text: string): ResetStep | string {
  if (text === '') return 'a step is missing';
  const [letter, argument] = [text[0]!, text.slice(1)];
  switch (letter) {
    case 'D':
    case 'R': {
      const on = { '0': false, '1': true }[argument];
      if (on === undefined) return `"${text}" must be ${letter}0 (off) or ${letter}1 (on)`;
      return { kind: 'lines', text, lines: letter === 'D' ? { dtr: on } : { rts: on } };
    }
    case 'U': {
      const match = /^([01]),([01])$/.exec(argument);
      if (match === null) return `"${text}" must be U and two digits, DTR and RTS, such as U0,1`;
      return { kind: 'lines', text, lines: { dtr: match[1] === '1', rts: match[2] === '1' } };
    }
    case 'W': {
      const seconds = /^(\d+(\.\d*)?|\.\d+)$/.test(argument) ? Number(argument) : Number.NaN;
      if (Number.isNaN(seconds)) return `"${text}" must be W and seconds, such as W0.1`;
      if (seconds > waitMaximumSeconds) {
        return `"${text}" waits for ${seconds} s; at most ${waitMaximumSeconds} s are possible`;
      }
      return { kind: 'wait', text, durationUs: Math.round(seconds * 1_000_000) };
    }
    default:
      return `"${text}" is no step`;
  }
}

/** Section 8.1, the table of actions. */
const strategyTexts = {
  'run-bridge': 'D0|R1|W0.1|R0',
  'run-usb-jtag': 'D0|W0.1|R1|D0|R1|W0.1|R0',
  'download-bridge': 'D0|R1|W0.1|D1|R0|W0.05|D0',
  /** For boards whose EN pin rises slowly. */
  'download-bridge-slow': 'D0|R1|W0.1|D1|R0|W0.5|D0',
  'download-usb-jtag': 'R0|D0|W0.1|D1|R0|W0.1|R1|D0|R1|W0.1|D0|R0',
} as const;

export type ResetStrategyName = keyof typeof strategyTexts;

export const resetStrategies = Object.fromEntries(
  Object.entries(strategyTexts).map(([name, text]) => [name, parseResetStrategy(text, name)]),
) as { readonly [Name in ResetStrategyName]: ResetStrategy };

/**
 * A built-in strategy by its name, or a text in the grammar.
 *
 * @throws {SerialError} `SERIAL_RESET_STRATEGY`
 */
export function findResetStrategy(nameOrText: string): ResetStrategy {
  if (Object.hasOwn(resetStrategies, nameOrText)) {
    return resetStrategies[nameOrText as ResetStrategyName];
  }
  return parseResetStrategy(nameOrText);
}
