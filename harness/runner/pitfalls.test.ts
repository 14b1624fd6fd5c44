/**
 * The pitfalls of delivery (S) and of the board (D), each planted in a conversation and found by the
 * metric that is meant for it; the same conversation without what was planted must not show it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { checkBalance } from '../metrics/ledger-balance.contract.ts';
import { ConversationRunner, scenarioAt } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const scenarios = fileURLToPath(new URL('../../scenarios/', import.meta.url));
const folder = `${scenarios}pitfalls/`;
const document = readFileSync(`${scenarios}pitfalls.md`, 'utf8');
const boardRuns = readFileSync(new URL('board-run.test.ts', import.meta.url), 'utf8');

interface Pitfall {
  /** Name of the file, which begins with the number of the pitfall. */
  readonly name: string;
  /** The metric that finds it, or what a check counts. */
  readonly metric: string;
  /** What of the file plants it, and what stands there in the conversation without it. */
  readonly planted: string;
  readonly instead: string;
}

const echoKitServer = '[server]\ncompat = "echokit-server"\n';

/** What the table of quirks calls by an id, switched off in front of the conversation. */
const without = (quirk: string) => ({
  planted: '[matrix]\n',
  instead: `[device]\nquirks_off = ["${quirk}"]\n\n[matrix]\n`,
});

const pitfalls: readonly Pitfall[] = [
  {
    name: 'S03-sent-in-a-burst',
    metric: 'conservation.cleared_samples',
    planted: '[matrix]\n',
    instead: '[stand_in]\nspeed = 1.0\n\n[matrix]\n',
  },
  { name: 'S05-old-answer-goes-on', metric: 'stale_samples', ...without('Q21') },
  {
    name: 'S06-bites-out-of-words',
    metric: 'conservation.lost_samples',
    planted: echoKitServer,
    instead: '',
  },
  {
    name: 'S07-sentence-without-sound',
    metric: 'failure.kind',
    planted: 'fault = { kind = "empty", request = 2 }',
    instead: '',
  },
  {
    name: 'S08-never-listens-again',
    metric: 'failure.kind',
    planted: 'fault = { kind = "stall" }',
    instead: '',
  },
  {
    name: 'S09-work-for-nobody',
    metric: 'requests.count',
    planted: echoKitServer,
    instead: `${echoKitServer}compat_except = ["shared-workers"]\n`,
  },
  {
    name: 'S10-said-twice',
    metric: 'audio_seconds.provider',
    planted: 'fault = { kind = "cut", request = 1 }',
    instead: '',
  },
  {
    name: 'S11-cut-at-an-abbreviation',
    metric: 'requests.count',
    planted: 'e.g. the bus',
    instead: 'for example the bus',
  },
  {
    name: 'S12-asterisks-are-read',
    metric: 'audio_seconds.provider',
    planted: '**not** far * from',
    instead: 'not far from',
  },
  {
    name: 'S13-connection-lost',
    metric: 'failure.kind',
    planted: '[[turn.disturb]]\nkind = "drop"\nafter = { event = "StartAudio", delay_ms = 300 }\n',
    instead: '',
  },
  {
    name: 'S14-greeted-twice',
    metric: 'console "Received hello start"',
    planted: 'ignores = ["reconnect"]\n',
    instead: '',
  },
  {
    name: 'S15-newer-server',
    metric: 'console "Failed to deserialize binary data: unknown variant `Choices`"',
    planted:
      '[[turn.disturb]]\nkind = "message"\nmessage = "Choices"\nafter = { event = "StartAudio" }\n',
    instead: '',
  },
  {
    name: 'S17-dead-pause',
    metric: 'seam_ms.max',
    planted: 'speed = 0.8',
    instead: 'speed = 20',
  },
  {
    name: 'S18-first-words-ignored',
    metric: 'console "Received ASR"',
    planted: '[device]\nquirks_off = ["Q25"]\n',
    instead: '',
  },
  {
    name: 'D01-breaks-at-the-start',
    metric: 'prebuffer_needed_ms.max',
    planted: 'speed = 1.0',
    instead: 'speed = 3',
  },
  {
    name: 'D04-radio-sleeps',
    metric: 'underruns.total_ms',
    planted:
      '[[turn.disturb]]\nkind = "stall"\nduration_ms = 1100\nafter = { event = "StartAudio", delay_ms = 1500 }\n',
    instead: '',
  },
  {
    name: 'D05-interrupts-itself',
    metric: 'interrupts.unprovoked',
    planted: 'echo_db = -12\necho_delay_ms = 20\n',
    instead: '',
  },
  { name: 'D07-slow-to-fall-silent', metric: 'stop_latency_ms.max', ...without('Q17') },
  { name: 'D08-late-after-slow-sentence', metric: 'play_start_ms.max', ...without('Q18') },
  {
    name: 'D09-not-read-while-playing',
    metric: 'conservation.in_flight_samples',
    ...without('Q16'),
  },
  { name: 'D10-end-stays-in-player', metric: 'conservation.rest_samples', ...without('Q2') },
  {
    name: 'D11-restart-without-server',
    metric: 'failure.kind',
    planted: '[[turn.disturb]]\nkind = "drop"\nafter = { event = "EndAudio" }\n',
    instead: '',
  },
  {
    name: 'D15-microphone-not-fetched',
    metric: 'console W "Ringbuffer of AFE(FEED) is full"',
    planted: '[[turn.disturb]]\nkind = "stall"\nduration_ms = 5000\nafter = { event = "Speech" }\n',
    instead: '',
  },
];

/** Virtual time has no busy computer. */
const busyComputer = 'harness/runner/busy-computer.test.ts';

/** Shown on the virtual board, by its fault and the code of the failed run; `board-run.test.ts` plays them. */
const onVirtualBoard: Readonly<Record<string, { fault: string; code: string }>> = {
  D13: { fault: 'brown-out', code: 'BOARD_POWER' },
  D14: { fault: 'rust-panic', code: 'BOARD_CRASHED' },
};

for (const { name, metric, planted, instead } of pitfalls) {
  test.serial(`${name}: ${metric} finds it, and finds nothing without it`, async (t) => {
    const text = readFileSync(`${folder}${name}.toml`, 'utf8').replace(/^title = .*\n/, '');
    t.is(text.split(planted).length, 2, 'what is planted stands in the file once');
    const [with_] = await runner.run(scenarioAt(folder + name, text));
    t.is(with_!.verdict.outcome, 'pass', JSON.stringify(with_!.verdict));
    const ofMetric = ({ expectation }: { expectation: { metric: string } }) =>
      expectation.metric === metric;
    t.is(with_!.verdict.expectations.filter(ofMetric).length, 1);

    const [clean] = await runner.run(
      scenarioAt(
        folder + name,
        text.replace(planted, () => instead),
      ),
    );
    const missed = clean!.verdict.expectations.find(ofMetric);
    t.is(missed?.outcome, 'fail', `${metric} = ${missed?.actual}`);
    t.deepEqual(clean!.verdict.failures, []);
    t.is(clean!.measurement.metrics['turns.failed'], 0);
    for (const { measurement } of [with_!, clean!]) {
      checkBalance(t, measurement.conservation, name);
    }
    t.not(missed?.actual ?? null, null);
  });
}

test('every file in the folder is a case, and every case is a file', (t) => {
  const files = readdirSync(folder).map((file) => file.replace('.toml', ''));
  t.deepEqual(files.sort(), pitfalls.map(({ name }) => name).sort());
});

test('the document tells of every pitfall what the cases show, and counts right', (t) => {
  const rows = [...document.matchAll(/^\| ([SD]\d\d) +\| ([^|]+?) +\| ([^|]+?) +\|$/gm)].map(
    ([, id, , outcome]) => ({ id: id!, outcome: outcome! }),
  );
  const numbered = (group: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `${group}${String(i + 1).padStart(2, '0')}`);
  t.deepEqual(
    rows.map(({ id }) => id),
    [...numbered('S', 18), ...numbered('D', 17)],
  );
  for (const { id, outcome } of rows) {
    const shown = pitfalls.find(({ name }) => name.startsWith(`${id}-`));
    const virtual = onVirtualBoard[id];
    if (virtual !== undefined) {
      const { fault, code } = virtual;
      t.is(outcome, `on a virtual board: \`${fault}\`, found by \`${code}\``);
      t.true(boardRuns.includes(`['${fault}', '${code}']`), 'board-run.test.ts plays it');
    } else if (id === 'S04') {
      t.is(outcome, `in real time only: \`${busyComputer}\`, found by \`host.lag_p99_ms\``);
      t.true(existsSync(`${scenarios}../${busyComputer}`));
    } else if (shown === undefined) t.regex(outcome, /^does not concern us: /, id);
    else
      t.is(
        outcome.replaceAll('`', ''),
        `${shown.name}, found by ${shown.metric.replaceAll('`', '')}`,
      );
  }
  const starting = (words: string) =>
    rows.filter(({ outcome }) => outcome.startsWith(words)).length;
  const shownRows = pitfalls.length + Object.keys(onVirtualBoard).length + 1;
  const counts = `${shownRows} of ${rows.length} are shown, ${starting('does not concern us')} do not concern this project`;
  t.true(document.replaceAll('\n', ' ').includes(counts), counts);
});
