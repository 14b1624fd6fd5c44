/**
 * What of a console must not reach a file or the screen: the Wi-Fi password, which the firmware prints
 * at each boot and in set-up mode (EchoKit device protocol reference, section 8.4 and appendix A), and
 * values that the user has named as secret.
 */
import { longEnough, secretPattern, tellingCharacters } from '../../adapters/secret-spellings.ts';
import {
  type ConsoleLine,
  parseConsoleLine,
  redacted,
  withoutColours,
} from '../../firmware-protocol/console-line.ts';
import type { SplitLine } from '../../firmware-protocol/console-splitter.ts';

/** Passwords that were seen and are looked for elsewhere: whatever prints ever new ones costs no memory. */
const learnedPasswordsMax = 16;
/** A longer text is no password: WPA has at most 64 characters (IEEE 802.11, section J.4). */
const learnedCharactersMax = 256;

/** Lines after which raw text of the password can go on. */
const secretLines: ReadonlySet<string> = new Set([
  'password',
  'ble-password',
  'ble-password-written',
]);

/** What is left of a password line whose beginning was lost, and what other modules would print. */
const passwordWords =
  /((?:(?:^|[^a-z])p?a?ss|pass characteristic|pass(?:word|phrase)|\bpsk)\s*[:=]\s*)(?!\s*$).+$/i;

/** A quote that nothing opens. */
const oddQuotes = /^[^"]*"(?:[^"]*"[^"]*")*[^"]*$/;

const passwordQuote = /PASS: "((?:[^"\\]|\\.)*)"/;
const passwordRaw = /echokit::bt: New pass: (.+)$/;

export interface RedactedLine {
  readonly line: ConsoleLine;
  /** The whole line for people, without colours. */
  readonly text: string;
}

/** Reads lines in their order and gives them back without secrets. */
export class ConsoleRedaction {
  readonly #named: readonly string[];
  /** The newest last. */
  #learned: string[] = [];
  #longestFirst: string[] = [];
  /** Every spelling of the named ones, and of one that `…` cuts off its beginning. */
  readonly #pattern: RegExp | undefined;
  #afterSecret = false;
  /** What comes next may be the end of something whose beginning stood elsewhere, or is lost. */
  #isBeginMissing = false;
  /** Text of a sentence is going on; it may hold quotes. */
  #inText = false;

  /** @param values texts that are replaced wherever they stand; those below 4 characters are ignored */
  constructor(values: readonly string[] = []) {
    this.#named = longEnough(values);
    this.#pattern = secretPattern(this.#named);
  }

  /** The port was opened: the next line may have begun before. */
  beginMissing(): void {
    this.#isBeginMissing = true;
  }

  /**
   * A line as it came. A password that it shows is known from then on, also in other lines.
   *
   * @param end of a line that was broken off in a known value, its beginning is replaced, too; after a `cut` one also the
   * end of the value, in the next line
   */
  read(raw: string, end: SplitLine['end'] = 'whole'): RedactedLine {
    const plain = withoutColours(raw);
    const quoted = passwordQuote.exec(plain)?.[1];
    this.#learn([
      quoted === undefined ? '' : unescaped(quoted),
      passwordRaw.exec(plain)?.[1]?.trimEnd() ?? '',
    ]);
    const parsed = parseConsoleLine(this.#isBeginMissing ? this.#withoutEnd(plain) : plain);
    this.#isBeginMissing = end === 'cut';
    const continues = parsed.kind === 'bare' && parsed.event === null && parsed.text !== '';
    if (continues && this.#afterSecret) {
      return { line: { kind: 'bare', text: redacted, event: null }, text: redacted };
    }
    if (continues && !this.#inText && oddQuotes.test(parsed.text)) {
      // The beginning of a printed value is lost, and it may have been the password.
      return { line: { kind: 'bare', text: redacted, event: null }, text: redacted };
    }
    if (!continues) this.#inText = parsed.event?.name === 'start-audio-read';
    this.#afterSecret = parsed.event !== null && secretLines.has(parsed.event.name);
    const clean = (text: string): string => {
      const known = end === 'whole' ? this.replace(text) : this.replace(`${text}…`).slice(0, -1);
      return parsed.event === null ? known.replace(passwordWords, `$1${redacted}`) : known;
    };
    if (parsed.kind === 'bare') {
      const line = { ...parsed, text: clean(parsed.text), event: this.#event(parsed.event, clean) };
      return { line, text: line.text };
    }
    const line = {
      ...parsed,
      message: clean(parsed.message),
      event: this.#event(parsed.event, clean),
    };
    const head = line.ms === null ? line.level : `${line.level} (${line.ms})`;
    return { line, text: `${head} ${line.tag}: ${line.message}` };
  }

  /** A text from elsewhere: known values are replaced. */
  replace(text: string): string {
    let clean = this.#pattern === undefined ? text : text.replaceAll(this.#pattern, redacted);
    // As they are and as Rust quotes them: to compile a pattern for each that comes takes milliseconds.
    for (const value of this.#longestFirst) {
      clean = clean.replaceAll(value, redacted).replaceAll(quoted(value), redacted);
      const cut = clean.endsWith('…') ? beginningAtEnd(clean.slice(0, -1), value) : 0;
      if (cut > 0) clean = `${clean.slice(0, -1 - cut)}${redacted}…`;
    }
    return clean;
  }

  /** What stands at the beginning and is the end of a known value. */
  #withoutEnd(text: string): string {
    for (const value of [...this.#named, ...this.#learned]) {
      for (let from = 1; from < value.length - tellingCharacters; from++) {
        if (text.startsWith(value.slice(from))) {
          return redacted + text.slice(value.length - from);
        }
      }
    }
    return text;
  }

  #event<Event extends ConsoleLine['event']>(event: Event, clean: (text: string) => string): Event {
    if (event === null) return event;
    const fields = Object.entries(event).map(([name, value]) => [
      name,
      // The name of an event is ours.
      typeof value === 'string' && name !== 'name' ? clean(value) : value,
    ]);
    return Object.fromEntries(fields) as Event;
  }

  #learn(values: readonly string[]): void {
    const found = longEnough(values).filter(
      (value) =>
        value.length <= learnedCharactersMax &&
        !this.#named.includes(value) &&
        !this.#learned.includes(value),
    );
    if (found.length === 0) return;
    this.#learned = [...this.#learned, ...found].slice(-learnedPasswordsMax);
    // One may stand in another one.
    this.#longestFirst = this.#learned.toSorted((a, b) => b.length - a.length);
  }
}

/** How many letters at the end are those with which the value begins; 0 for those that tell nothing. */
function beginningAtEnd(text: string, value: string): number {
  for (let length = value.length - 1; length >= tellingCharacters; length--) {
    if (text.endsWith(value.slice(0, length))) return length;
  }
  return 0;
}

/** As `{:?}` of Rust prints it. */
function quoted(text: string): string {
  return text.replaceAll(/["\\]/g, '\\$&');
}

/** What Rust prints with `{:?}`, without its backslashes. */
function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, letter: string) => rustEscapes.get(letter) ?? letter);
}

const rustEscapes: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['0', '\0'],
]);
