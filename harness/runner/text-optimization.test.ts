/** A provider that has each sentence rewritten before it speaks it, from the user to the report. */
import test from 'ava';
import { ConfigError } from '../../adapters/index.ts';
import { spanNames } from '../metrics/latency-spans.ts';
import { buildRunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import { providerEntry } from './provider-catalog.ts';
import { ConversationRunner, scenarioOf } from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const plainTable = {
  platform: 'stream_gsv',
  url: 'http://gsv.test:9094/v1/audio/stream_speech',
  speaker: 'texan',
};
const optimization = {
  url: 'https://api.openai.com/v1/chat/completions',
  api_key: 'sk_of_the_model',
  model: 'gpt-4o-mini',
};
const entries = [
  providerEntry('plain', plainTable),
  providerEntry('rewritten', { ...plainTable, text_optimization: optimization }),
];
/** The second sentence holds marks that the stand-in of the model takes out. */
const reply =
  'Nine o’clock. It opens at *nine*,  and everybody  is welcome to come in at any time.';
const scenario = scenarioOf('rewritten', `[[turn]]\nsay = "When?"\nreply = "${reply}"\n`);

test.serial('the call is a span of its own, and all spans add up', async (t) => {
  const results = await runner.run(scenario, { providers: ['plain', 'rewritten'], entries });
  const [plain, rewritten] = results.map(({ measurement }) => measurement.turns[0]!);
  t.is(plain!.outcome, 'ok');
  t.is(rewritten!.outcome, 'ok', rewritten!.failure?.message);
  t.is(plain!.spans.textOptimization, 0);
  // Connecting takes 120 ms and the first token 350 ms; a token in 22 ms, the last in at most 28.
  const call = rewritten!.spans.textOptimization!;
  t.true(call > 120_000 + 350_000 + 2 * 22_000 && call < 120_000 + 350_000 + 6 * 28_000, `${call}`);
  for (const turn of [plain!, rewritten!]) {
    const sum = spanNames.reduce((total, name) => total + turn.spans[name]!, 0);
    t.is(sum, turn.audibleAtSpeakerUs!);
    t.is(turn.unattributedUs, 0);
  }
  t.is(rewritten!.spans.handover, plain!.spans.handover);
  t.is(rewritten!.spans.connect, plain!.spans.connect);
  for (const { measurement } of results) t.is(measurement.conservation.unexplainedSamples, 0);

  const report = checkReportFormat(
    buildRunReport({
      cells: results,
      run: { id: 'test', seed: 1, time: 'virtual', live: false },
      environment: {},
    }),
  );
  const text = renderTerminalReport(report, {
    color: false,
    width: 120,
    recordingsFolder: '.',
    nextSteps: [],
  });
  t.regex(text, /hand- +text +con-/);
});

test.serial(
  'the board shows the original text, and the provider gets the rewritten one',
  async (t) => {
    const [conversation] = await runner.run(scenario, { providers: ['rewritten'], entries });
    const { events } = conversation!.recorded;
    const sentences = events.filter((e) => e.source === 'server' && e.type === 'sentence');
    const calls = events.filter((e) => e.source === 'server' && e.type === 'textOptimization');
    t.deepEqual(
      sentences.map((event) => 'text' in event && event.text),
      [reply.slice(0, 13), reply.slice(14)],
    );
    t.deepEqual(
      calls.map((event) => 'text' in event && event.text),
      ['Nine o’clock.', 'It opens at nine, and everybody is welcome to come in at any time.'],
    );
    const shown = events.filter((e) => e.source === 'device' && e.type === 'display');
    t.true(shown.some((event) => 'text' in event && event.text.includes('*nine*')));
    const sent = events.filter((e) => e.source === 'provider' && e.type === 'request');
    t.deepEqual(
      sent.map((event) => 'characters' in event && event.characters),
      [13, 66],
    );
    t.false(JSON.stringify(events).includes('sk_of_the_model'));
  },
);

test.serial('two runs are the same to the byte', async (t) => {
  const [a, b] = [
    await runner.run(scenario, { providers: ['rewritten'], entries }),
    await runner.run(scenario, { providers: ['rewritten'], entries }),
  ];
  t.deepEqual(a[0]!.recorded.events, b[0]!.recorded.events);
});

test.serial('a model that refuses the key fails the turn in its own name', async (t) => {
  const refused = { ...optimization, api_key: 'invalid' };
  const entry = providerEntry('refused', { ...plainTable, text_optimization: refused });
  const [conversation] = await runner.run(scenario, { providers: ['refused'], entries: [entry] });
  const { turns } = conversation!.measurement;
  t.is(turns[0]!.outcome, 'failed');
  t.is(turns[0]!.failure!.kind, 'auth');
  t.regex(turns[0]!.failure!.message, /text optimization at api\.openai\.com failed/);
});

test.serial(
  'one address for speech and for the model is a mistake of the configuration',
  async (t) => {
    const shared = { ...optimization, url: 'http://gsv.test:9094/v1/chat/completions' };
    const entry = providerEntry('shared', { ...plainTable, text_optimization: shared });
    const error = await t.throwsAsync(
      runner.run(scenario, { providers: ['shared'], entries: [entry] }),
      { instanceOf: ConfigError },
    );
    t.regex(error!.message, /both lead to gsv\.test:9094/);
  },
);
