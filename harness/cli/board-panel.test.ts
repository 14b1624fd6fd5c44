import test from 'ava';
import { type BoardGauges, BoardPanel } from './board-panel.ts';

const gauges: BoardGauges = { state: 'Idle', bufferedSamples: 0, typed: undefined };

const esc = '\x1b';

/** What a terminal would show: the moves of the cursor that a panel makes, carried out. */
function shown(...pieces: readonly string[]): string[] {
  let lines: string[] = [];
  for (const piece of pieces) {
    const [move, rest] = piece.split(`${esc}[J`) as [string, string];
    const up = move === '' ? 0 : Number.parseInt(move.slice(`\r${esc}[`.length), 10);
    lines = lines.slice(0, lines.length - up);
    lines.push(...rest.split('\n').slice(0, -1));
  }
  return lines;
}

test('the console stays above the panel, which is drawn again in its place', (t) => {
  const panel = new BoardPanel();
  const lines = shown(
    panel.draw(['one'], gauges, 80),
    panel.draw(['two', 'three'], gauges, 80),
    panel.draw([], gauges, 80),
  );
  t.deepEqual(lines.slice(0, 3), ['one', 'two', 'three']);
  t.is(lines.length, 3 + 5);
  t.regex(lines[4]!, /^Idle +not connected +volume 3 +interrupting off$/);
});

test('the panel shows what the board has reported', (t) => {
  const panel = new BoardPanel();
  panel.hearOf({ type: 'connected', atUs: 0, connection: 1, reconnect: false });
  panel.hearOf({ type: 'connected', atUs: 0, connection: 2, reconnect: true });
  panel.hearOf({ type: 'disconnected', atUs: 0, connection: 1, code: 1006 });
  panel.hearOf({ type: 'display', atUs: 7, text: 'Interrupt: true' });
  panel.hearOf({ type: 'display', atUs: 7, text: 'Hi.' });
  panel.hearOf({ type: 'volume', atUs: 0, level: 4, gainShift: 1 });
  panel.hearOf({ type: 'underrunEnd', atUs: 0, sentence: 1, position: 0, cycles: 3 });
  const lines = shown(
    panel.draw([], { ...gauges, state: 'Speaking', bufferedSamples: 32_000 }, 80),
  );
  t.regex(lines[1]!, /^Speaking +connected +volume 4 +interrupting on$/);
  t.is(lines[2], 'screen   Interrupt: true   Hi.');
  t.regex(lines[3]!, /█{5}░{15} 2\.0 s {3}silent in mid sentence: 48 ms$/);
});

test('nothing that a server sends acts on the terminal, and no line is wider than it', (t) => {
  const panel = new BoardPanel();
  panel.hearOf({ type: 'display', atUs: 0, text: '\x1b[2Jgone\n' });
  const lines = shown(panel.draw(['\x1b]0;title\x07', 'x'.repeat(200)], gauges, 40));
  t.is(lines[0], '␛]0;title␇');
  t.true(lines.every((line) => [...line].length <= 40));
  t.true(lines.some((line) => line.includes('␛[2Jgone␊')));
});

test('what is typed takes the place of the keys', (t) => {
  const panel = new BoardPanel();
  const lines = shown(panel.draw([], { ...gauges, typed: 'How far' }, 80));
  t.true(lines.at(-1)!.endsWith(': How far_'));
});
