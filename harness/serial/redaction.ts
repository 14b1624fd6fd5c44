/**
 * What of a console must not reach a file or the screen: the Wi-Fi password, which the firmware prints
 * at each boot and in set-up mode (EchoKit device protocol reference, section 8.4 and appendix A), and
 * values that the user has named as secret.
 */
import {
  type ConsoleLine,
  parseConsoleLine,
  redacted,
} from '../../firmware-protocol/console-line.ts';

/** Shorter values stand in too many words by chance, and are no keys. */
const shortestSecret = 4;

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
  readonly #values: string[] = [];
  #afterSecret = false;
  /** Text of a sentence is going on; it may hold quotes. */
  #inText = false;

  /** @param values texts that are replaced wherever they stand; those below 4 characters are ignored */
  constructor(values: readonly string[] = []) {
    for (const value of values) this.#learn(value);
  }

  /** A line as it came. A password that it shows is known from then on, also in other lines. */
  read(raw: string): RedactedLine {
    this.#learn(passwordQuote.exec(raw)?.[1] ?? passwordRaw.exec(raw)?.[1] ?? '');
    const parsed = parseConsoleLine(raw);
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
      const known = this.replace(text);
      return parsed.event === null ? known.replace(passwordWords, `$1${redacted}`) : known;
    };
    if (parsed.kind === 'bare') {
      const line = { ...parsed, text: clean(parsed.text), event: this.#event(parsed.event) };
      return { line, text: line.text };
    }
    const line = { ...parsed, message: clean(parsed.message), event: this.#event(parsed.event) };
    const head = line.ms === null ? line.level : `${line.level} (${line.ms})`;
    return { line, text: `${head} ${line.tag}: ${line.message}` };
  }

  /** A text from elsewhere: known values are replaced. */
  replace(text: string): string {
    let clean = text;
    for (const value of this.#values) clean = clean.replaceAll(value, redacted);
    return clean;
  }

  #event<Event extends ConsoleLine['event']>(event: Event): Event {
    if (event === null || this.#values.length === 0) return event;
    const fields = Object.entries(event).map(([name, value]) => [
      name,
      // The name of an event is ours.
      typeof value === 'string' && name !== 'name' ? this.replace(value) : value,
    ]);
    return Object.fromEntries(fields) as Event;
  }

  #learn(value: string): void {
    if (value.length < shortestSecret || this.#values.includes(value)) return;
    this.#values.push(value);
    // The longest first: a secret may stand in another one.
    this.#values.sort((a, b) => b.length - a.length);
  }
}
