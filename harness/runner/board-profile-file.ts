/** A board profile in a file: constants that were learned from recordings of one board, on top of a built-in profile. */
import { readFileSync } from 'node:fs';
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import type { Calibration, LearnedConstant } from '../metrics/board-calibration.ts';
import { parseToml, TomlSyntaxError } from '../toml/toml-document.ts';

export class BoardProfileError extends Error {
  override readonly name = 'BoardProfileError';
  readonly code = 'BOARD_PROFILE';
  readonly hint: string;

  constructor(path: string, what: string, hint: string, options?: ErrorOptions) {
    super(`${path}: ${what}.`, options);
    this.hint = hint;
  }
}

function problem(
  path: string,
  what: string,
  cause?: unknown,
  hint = 'Write it anew with calibrate, or name a built-in board.',
): BoardProfileError {
  return new BoardProfileError(path, what, hint, cause === undefined ? undefined : { cause });
}

/** Constants of a profile that recordings can tell, by their key in the file. */
const learnable = { redraw_us: 'redrawUs', boot_us: 'bootUs' } as const;

const formatVersion = 1;
/** No board takes longer for a redraw or a boot. */
const mostUs = 120_000_000;
const namePattern = /^[a-z0-9][a-z0-9_-]{0,39}$/;

/** The table of a profile file, for a TOML writer. */
export function boardProfileTable(
  name: string,
  base: string,
  calibration: Calibration,
): Record<string, unknown> {
  const known: readonly (readonly [string, LearnedConstant | null])[] = [
    ['redraw_us', calibration.redrawUs],
    ['boot_us', calibration.bootUs],
    ['sentence_overhead_us', calibration.sentenceOverheadUs],
    ['delivery_us', calibration.deliveryUs],
  ];
  const learned = known.filter(
    (entry): entry is readonly [string, LearnedConstant] => entry[1] !== null,
  );
  return {
    format_version: formatVersion,
    name,
    base,
    constants: Object.fromEntries(
      learned
        .filter(([key]) => Object.hasOwn(learnable, key))
        .map(([key, { valueUs }]) => [key, valueUs]),
    ),
    // Not read: what the constants rest on, and what the model has no constant for.
    evidence: Object.fromEntries(
      learned.map(([key, { valueUs, errorUs, n, p5Us, p95Us }]) => [
        key,
        { value_us: valueUs, error_us: errorUs, n, p5_us: p5Us, p95_us: p95Us },
      ]),
    ),
  };
}

/** @throws {BoardProfileError} `BOARD_PROFILE` */
export function readBoardProfile(path: string): DeviceProfile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      const built = Object.keys(deviceProfiles).join(', ');
      const hint = `Check the path; calibrate writes such a file. Built-in boards: ${built}`;
      throw problem(path, 'there is no such profile', error, hint);
    }
    throw problem(path, `cannot be read: ${(error as Error).message}`, error);
  }
  return parseBoardProfile(text, path);
}

/**
 * @param path for messages
 * @throws {BoardProfileError} `BOARD_PROFILE`
 */
export function parseBoardProfile(text: string, path: string): DeviceProfile {
  let table: Readonly<Record<string, unknown>>;
  try {
    table = parseToml(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    const { line, column } = error.at;
    throw problem(path, `line ${line}, column ${column}: ${error.message}`, error);
  }
  const { format_version: format, name, base, constants = {} } = table;
  if (format !== formatVersion) {
    throw problem(path, `format_version is ${String(format)}, and ${formatVersion} is read`);
  }
  if (typeof name !== 'string' || !namePattern.test(name) || Object.hasOwn(deviceProfiles, name)) {
    throw problem(
      path,
      'name must have lower-case letters, digits, - and _, and not be that of a built-in board',
    );
  }
  // A name that every object has, such as "constructor", is no board.
  const isBoard = typeof base === 'string' && Object.hasOwn(deviceProfiles, base);
  const profile = isBoard ? deviceProfiles[base] : undefined;
  if (profile === undefined) {
    const known = Object.keys(deviceProfiles).join(', ');
    throw problem(path, `base "${String(base)}" is none of ${known}`);
  }
  if (typeof constants !== 'object' || constants === null) {
    throw problem(path, 'constants must be a table');
  }
  const changed: { redrawUs?: number; bootUs?: number } = {};
  for (const [key, value] of Object.entries(constants)) {
    if (!Object.hasOwn(learnable, key)) {
      const known = Object.keys(learnable).join(', ');
      throw problem(path, `constants.${key} is none of ${known}`);
    }
    if (!Number.isInteger(value) || value < 0 || value > mostUs) {
      throw problem(path, `constants.${key} must be microseconds from 0 to ${mostUs}`);
    }
    changed[learnable[key as keyof typeof learnable]] = value as number;
  }
  const source = `calibrated: learned from recordings of this board, ${path}`;
  return {
    ...profile,
    name,
    calibrated: Object.keys(changed).length > 0,
    constants: { ...profile.constants, ...changed },
    sources: {
      ...profile.sources,
      ...Object.fromEntries(Object.keys(changed).map((key) => [key, source])),
    },
  };
}
