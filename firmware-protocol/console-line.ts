/**
 * Reads a board's serial console line by line (EchoKit device protocol reference, sections 8.2 to
 * 8.6). Pure, and it never throws for what arrives: a console has torn lines, noise of a port that
 * opens, and text of other parts. Secrets (the Wi-Fi password) are replaced at once.
 */
import {
  bareForms,
  boardTags,
  type ConsoleForm,
  type ConsoleLevel,
  consoleForms,
} from './console-forms.ts';
import { ConsoleLineSplitter } from './console-splitter.ts';

type KindValue<Kind extends string> = Kind extends 'int' | 'hex' | 'ratio' ? number : string;
type FieldValue<Field extends string> = Field extends `${infer Name}:${infer Kind}`
  ? Kind extends 'secret'
    ? unknown
    : { readonly [Key in Name]: KindValue<Kind> }
  : { readonly [Key in Field]: string };
type FieldsOf<Text extends string> = Text extends `${string}{${infer Field}}${infer Rest}`
  ? FieldValue<Field extends `{${infer Inner}` ? Inner : Field> & FieldsOf<Rest>
  : unknown;
type EventOf<Form> = Form extends {
  readonly name: infer Name extends string;
  readonly text: infer Text extends string;
}
  ? { readonly name: Name } & FieldsOf<Text>
  : never;

/** What a line says, by the form it has; its fields are those in the braces of the form. */
export type ConsoleEvent = EventOf<(typeof consoleForms)[number] | (typeof bareForms)[number]>;
export type ConsoleEventName = ConsoleEvent['name'];

export type ConsoleLine =
  | {
      readonly kind: 'log';
      readonly level: ConsoleLevel;
      /** Milliseconds since the boot; null on early lines, which have none. */
      readonly ms: number | null;
      readonly tag: string;
      readonly message: string;
      /** Null: a line that no form fits. */
      readonly event: ConsoleEvent | null;
    }
  /** No level and tag: ROM, panic, or, without an event, the continuation of the line before. */
  | { readonly kind: 'bare'; readonly text: string; readonly event: ConsoleEvent | null };

/** Replaces what must not be handed on. */
export const redacted = '[redacted]';

/** Level, milliseconds, tag and message (section 8.2). Some closed libraries leave out the last space, and
 * one tag of ESP-IDF has a space. */
export const consoleLinePattern =
  /^([EWIDV]) \((\d+)\) ((?:MSPI Timing|[A-Za-z0-9_.-]+)(?:::[A-Za-z0-9_]+)*): ?(.*)$/s;
const earlyLinePattern = /^([EWIDV]) ([A-Za-z0-9_.-]+): (.*)$/s;
const colour = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** The colours of ESP-IDF, which stand around a whole line, taken out. */
export function withoutColours(text: string): string {
  return text.replaceAll(colour, '');
}

/** Reads one line, with or without its line ending. */
export function parseConsoleLine(line: string): ConsoleLine {
  const text = withoutColours(line.replace(/\r*\n?$/, ''));
  const log = consoleLinePattern.exec(text);
  if (log !== null) {
    const [, level, ms, tag, message] = log as unknown as [
      string,
      ConsoleLevel,
      string,
      string,
      string,
    ];
    return { kind: 'log', level, ms: Number(ms), tag, ...readMessage(tag, message) };
  }
  const early = earlyLinePattern.exec(text);
  if (early !== null) {
    const [, level, tag, message] = early as unknown as [string, ConsoleLevel, string, string];
    const read = readMessage(tag, message);
    // Any sentence with a colon could look like one, so only known lines count.
    if (read.event !== null) return { kind: 'log', level, ms: null, tag, ...read };
  }
  // The panic handler ends several of its lines with a space.
  const bare = text.trimEnd();
  for (const form of bareMatchers) {
    const event = form.match(bare);
    if (event !== null) return { kind: 'bare', text, event };
  }
  return { kind: 'bare', text, event: null };
}

function readMessage(
  tag: string,
  message: string,
): { readonly message: string; readonly event: ConsoleEvent | null } {
  for (const form of matchersByTag.get(tag) ?? []) {
    const event = form.match(message);
    if (event !== null) return { message: form.redact(message), event };
  }
  return { message, event: null };
}

/** Puts the bytes of a port together to lines. Pieces may be cut anywhere, also inside a character. */
export class ConsoleLineReader {
  readonly #splitter = new ConsoleLineSplitter();

  /** @param bytes as they arrived; kept no longer than the call */
  push(bytes: Uint8Array): ConsoleLine[] {
    return this.#splitter.push(bytes, 0).map(({ text }) => parseConsoleLine(text));
  }

  /** The port has closed: what is left is a line without an end. */
  end(): ConsoleLine[] {
    return this.#splitter.end(0).map(({ text }) => parseConsoleLine(text));
  }
}

/**
 * Where one field may end in many places the next one has as many beginnings, so the work grows with a power of the
 * length. Lines of forms with several such fields are short; a longer text is none of them.
 */
const severalFieldsCharactersMax = 512;
/** Kinds of fields that may hold anything. */
const openKinds: ReadonlySet<string> = new Set(['text', 'padded', 'secret', 'debug']);

/** A form as something that can be compared with a text. */
class FormMatcher {
  readonly #name: string;
  readonly #charactersMax: number;
  readonly #pattern: RegExp;
  readonly #fields: { readonly name: string; readonly kind: string }[] = [];

  constructor(form: { readonly name: string; readonly text: string }) {
    this.#name = form.name;
    const parts = form.text.split(fieldPattern);
    // Text and field in turn.
    const source = parts.map((part, index) => {
      if (index % 2 === 0) return part.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
      const [name = '', kind = 'text'] = part.split(':');
      this.#fields.push({ name, kind });
      return fieldKinds[kind]!.source;
    });
    this.#pattern = new RegExp(`^${source.join('')}$`, 's');
    const open = this.#fields.filter(({ kind }) => openKinds.has(kind));
    this.#charactersMax = open.length > 1 ? severalFieldsCharactersMax : Number.POSITIVE_INFINITY;
  }

  match(text: string): ConsoleEvent | null {
    const found = text.length > this.#charactersMax ? null : this.#pattern.exec(text);
    if (found === null) return null;
    const event: Record<string, unknown> = { name: this.#name };
    for (const [index, { name, kind }] of this.#fields.entries()) {
      if (kind !== 'secret') event[name] = fieldKinds[kind]!.read(found[index + 1]!);
    }
    return event as unknown as ConsoleEvent;
  }

  redact(text: string): string {
    const secret = this.#fields.findIndex(({ kind }) => kind === 'secret');
    if (secret === -1) return text;
    // A secret is the last field: it may contain anything, so it reaches to the end of the line.
    return text.slice(0, text.length - this.#pattern.exec(text)![secret + 1]!.length) + redacted;
  }
}

const fieldPattern = /\{([A-Za-z0-9]+(?::[a-z]+)?)\}/;

const asText = (text: string) => text;
const fieldKinds: {
  readonly [kind: string]: {
    readonly source: string;
    readonly read: (text: string) => string | number;
  };
} = {
  text: { source: '(.*?)', read: asText },
  padded: { source: '[ ]*(.*?)', read: asText },
  secret: { source: '(.*)', read: asText },
  int: { source: '(\\d+)', read: Number },
  registers: {
    source: '((?:[A-Z][A-Z0-9_/]* *: 0x[0-9a-f]{8} *)+)',
    read: asText,
  },
  hex: { source: '(0x[0-9a-fA-F]+)', read: Number },
  ratio: {
    source: '(inf|NaN|\\d+\\.\\d+)',
    read: (text) => (text === 'inf' ? Number.POSITIVE_INFINITY : Number(text)),
  },
  debug: { source: '("(?:[^"\\\\]|\\\\.)*")', read: undebug },
};

const escapes: { readonly [letter: string]: string } = { n: '\n', r: '\r', t: '\t', '0': '\0' };

/** The text that Rust has printed for debugging. */
function undebug(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replaceAll(/\\(?:u\{([0-9a-f]{1,6})\}|(.))/gs, (_all, code?: string, letter?: string) => {
      if (code === undefined) return escapes[letter!] ?? letter!;
      const point = Number.parseInt(code, 16);
      return point > 0x10_ffff ? '\ufffd' : String.fromCodePoint(point);
    });
}

const bareMatchers: readonly FormMatcher[] = bareForms.map((form) => new FormMatcher(form));

const matchersByTag: ReadonlyMap<string, readonly FormMatcher[]> = (() => {
  const byTag = new Map<string, FormMatcher[]>();
  for (const form of consoleForms as readonly ConsoleForm[]) {
    const matcher = new FormMatcher(form);
    for (const tag of form.tag === 'board' ? boardTags : [form.tag]) {
      byTag.set(tag, [...(byTag.get(tag) ?? []), matcher]);
    }
  }
  // Most builds print what follows the watchdog's first line with its tag, too.
  const watchdog = bareForms.filter(({ name }) => name.startsWith('watchdog-'));
  const matchers = watchdog.map((form) => new FormMatcher(form));
  byTag.set('task_wdt', [...byTag.get('task_wdt')!, ...matchers]);
  return byTag;
})();
