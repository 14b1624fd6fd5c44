/** One server-sent event that carries data. */
export interface ServerSentEvent {
  /** The `event` field; empty when the event has none. */
  readonly name: string;
  /** The `data` lines, joined by line feeds. */
  readonly data: string;
}

/**
 * Reads `text/event-stream` (HTML Living Standard, section 9.2) however it is cut: lines end in CRLF,
 * LF or CR, comments and the fields `id` and `retry` are passed over, a byte order mark is dropped.
 */
export class EventStreamReader {
  readonly #decoder = new TextDecoder();
  #line = '';
  /** A CR has ended the line, so an LF that follows it belongs to the same end. */
  #afterReturn = false;
  #name = '';
  #data: string | undefined;

  /** Characters of the event that is not complete yet; 0 between two events and after a comment. */
  get unfinished(): number {
    return this.#line.length + (this.#data === undefined ? 0 : this.#data.length + 1);
  }

  push(bytes: Uint8Array): ServerSentEvent[] {
    return this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * Ends the stream. The standard throws an event away whose closing blank line never came; writers
   * that forget this line at the end are common, so here it counts.
   */
  end(): ServerSentEvent[] {
    return this.#read(`${this.#decoder.decode()}\n\n`);
  }

  #read(text: string): ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    const lineEnd = /[\r\n]/g;
    let at = 0;
    if (this.#afterReturn && text !== '') {
      this.#afterReturn = false;
      if (text[0] === '\n') at = 1;
    }
    while (at < text.length) {
      lineEnd.lastIndex = at;
      const end = lineEnd.exec(text)?.index;
      this.#line += text.slice(at, end);
      if (end === undefined) break;
      this.#endLine(events);
      at = end + 1;
      if (text[end] !== '\r') continue;
      if (at === text.length) this.#afterReturn = true;
      else if (text[at] === '\n') at += 1;
    }
    return events;
  }

  #endLine(events: ServerSentEvent[]): void {
    const line = this.#line;
    this.#line = '';
    if (line === '') {
      if (this.#data !== undefined) events.push({ name: this.#name, data: this.#data });
      this.#name = '';
      this.#data = undefined;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#name = value;
    else if (field === 'data') {
      this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    }
  }
}
