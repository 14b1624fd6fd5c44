/**
 * The board in a terminal: a console that scrolls, and below it a few lines that are drawn again in
 * their place. Pure: events in, text out.
 */
import type { DeviceEvent, DeviceState } from '../device/device-event.ts';
import { clipDisplay, neutralize, padDisplay } from '../report/terminal-text.ts';

/** What cannot be told from events. */
export interface BoardGauges {
  readonly state: DeviceState;
  readonly bufferedSamples: number;
  /** What is being typed; undefined when keys are commands. */
  readonly typed: string | undefined;
}

const meterColumns = 20;
/** A full meter: what a board holds while a sentence is played (section 6.5). */
const meterSeconds = 8;

export class BoardPanel {
  #screen = '';
  #shownUs = -1;
  #volume = 3;
  #interrupting = false;
  #connection: number | undefined;
  #speech = false;
  #underruns = 0;
  #power = 'on';
  #drawnLines = 0;

  /** Takes note of what the board reports. */
  hearOf(event: DeviceEvent): void {
    const { type, atUs } = event;
    if (type === 'display') this.#show(event.text, atUs);
    else if (type === 'volume') this.#volume = event.level;
    else if (type === 'connected') this.#connection = event.connection;
    else if (type === 'disconnected') {
      // The old connection is dropped after the new one is open.
      if (event.connection === this.#connection) this.#connection = undefined;
    } else if (type === 'speech') this.#speech = event.active;
    else if (type === 'underrunEnd') this.#underruns += event.cycles;
    else if (type === 'setup') this.#power = 'in set-up mode';
    else if (type === 'reboot') {
      this.#power = 'restarting';
      this.#connection = undefined;
    } else if (type === 'boot') {
      this.#power = 'on';
      this.#volume = 3;
      this.#interrupting = false;
    }
  }

  /** State and text of the screen are drawn at one instant. */
  #show(text: string, atUs: number): void {
    if (text.startsWith('Interrupt: ')) this.#interrupting = text.endsWith('true');
    this.#screen = atUs === this.#shownUs ? `${this.#screen}   ${text}` : text;
    this.#shownUs = atUs;
  }

  /**
   * Writes lines above the panel and draws it again, as one piece of text, so that nothing flickers.
   *
   * @param log complete lines of the console; control characters in them are made visible
   */
  draw(log: readonly string[], gauges: BoardGauges, width: number): string {
    const panel = this.#lines(gauges, width);
    const up = this.#drawnLines === 0 ? '' : `\r\x1b[${this.#drawnLines}A`;
    this.#drawnLines = panel.length;
    const above = log.map((line) => clipDisplay(neutralize(line), width));
    return `${up}\x1b[J${[...above, ...panel].map((line) => `${line}\n`).join('')}`;
  }

  #lines({ state, bufferedSamples, typed }: BoardGauges, width: number): string[] {
    const seconds = bufferedSamples / 16_000;
    const filled = Math.min(meterColumns, Math.ceil((seconds / meterSeconds) * meterColumns));
    const meter = '█'.repeat(filled) + '░'.repeat(meterColumns - filled);
    const board =
      this.#power === 'on'
        ? `${padDisplay(state, 10)} ${this.#connection !== undefined ? 'connected' : 'not connected'}`
        : this.#power;
    const facts = [
      `volume ${this.#volume}`,
      `interrupting ${this.#interrupting ? 'on' : 'off'}`,
      ...(this.#speech ? ['hears speech'] : []),
    ];
    return [
      '─'.repeat(Math.min(width, 72)),
      `${board}   ${facts.join('   ')}`,
      `screen   ${neutralize(this.#screen)}`,
      `buffer   ${meter} ${seconds.toFixed(1)} s   silent in mid sentence: ${this.#underruns * 16} ms`,
      typed === undefined
        ? 'k K0   K hold K0   + - volume   s speak   q switch off'
        : `say (a text or file.wav, Enter; Esc: not): ${neutralize(typed)}_`,
    ].map((line) => clipDisplay(line, width));
  }
}
