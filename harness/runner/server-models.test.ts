import test from 'ava';
import { amountOf, checkBalance } from '../metrics/ledger-balance.contract.ts';
import {
  causeDefinition,
  type DifferenceCause,
  differenceCauses,
} from '../metrics/sample-ledger.ts';
import { compatIds } from '../server/compat-items.ts';
import {
  ConversationRunner,
  providerNames,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const servers = ['harness', 'echokit-server'];
const reply =
  'The moon goes around the earth. It takes about four weeks, and we always see the same side of it. Good night.';
const script = `[[turn]]\nsay = "Tell me about the moon."\nreply = "${reply}"\n`;

/** A model on a socket that EchoKit does not know, and a service without WAV, which is all it asks for. */
const unknownToEchoKit = ['elevenlabs-v4', 'openrouter'];

/**
 * EchoKit device protocol reference, section 4.4: a block of n samples becomes floor(n / 1920)
 * packets. What remains is lost.
 */
function lossOf(blocks: readonly number[]): number {
  return blocks.reduce((sum, n) => sum + n - 1920 * Math.floor(n / 1920), 0);
}

/** Blocks of 0.5 s and the rest. */
function halfSeconds(samples: number): number[] {
  return [...Array<number>(Math.floor(samples / 8000)).fill(8000), samples % 8000];
}

/** The lengths of what each sentence's provider delivered, piece by piece. */
function chunksBySentence({ recorded }: RecordedConversation): Map<number, number[]> {
  const chunks = new Map<number, number[]>();
  for (const event of recorded.events) {
    if (event.source !== 'provider' || event.type !== 'chunk') continue;
    chunks.set(event.sentence, [...(chunks.get(event.sentence) ?? []), event.samples]);
  }
  return chunks;
}

for (const provider of providerNames.filter((name) => !unknownToEchoKit.includes(name))) {
  test.serial(`${provider}: the ledger shows the loss that the reference computes`, async (t) => {
    const scenario = scenarioOf('moon', script);
    const [own, echoKit] = await runner.run(scenario, { providers: [provider], servers });
    t.is(own!.cell.server, 'harness');
    t.is(own!.measurement.metrics['conservation.lost_samples'], 0);
    t.is(own!.recorded.header.server, undefined);
    t.is(echoKit!.recorded.header.server, 'echokit-server');
    const platform = echoKit!.recorded.header.provider.split('-')[0]!;
    const inBlocks = !['elevenlabs', 'cosyvoice'].includes(platform);

    const sentences = chunksBySentence(echoKit!);
    t.true(sentences.size >= 3);
    const lost = { remainder: 0, tail: 0 };
    for (const [sentence, chunks] of sentences) {
      const total = chunks.reduce((sum, samples) => sum + samples, 0);
      const blocks = inBlocks ? halfSeconds(total) : chunks;
      const expected = lossOf(blocks);
      const tail = inBlocks ? lossOf(blocks.slice(-1)) : 0;
      const ledger = echoKit!.recorded.events.find(
        (event) => event.type === 'framed' && event.sentence === sentence,
      );
      t.like(ledger, { samplesIn: total, lostSamples: expected, paddedSamples: 0 });
      lost.remainder += expected - tail;
      lost.tail += tail;
    }
    t.true(lost.remainder > 0);
    const { ledger } = echoKit!.measurement.conservation;
    t.is(amountOf(ledger, 'remainder'), 0 - lost.remainder);
    t.is(amountOf(ledger, 'tail'), 0 - lost.tail);
    // 20 ms of each whole block of 0.5 s.
    if (inBlocks) t.is(lost.remainder % 320, 0);
    const metric = echoKit!.measurement.metrics['conservation.lost_samples'];
    t.is(metric, lost.remainder + lost.tail);
    for (const { measurement, verdict } of [own!, echoKit!]) {
      checkBalance(t, measurement.conservation);
      t.is(verdict.outcome, 'pass');
    }
  });
}

test('causes that are an item of the EchoKit server name one that exists', (t) => {
  const named = (Object.keys(differenceCauses) as DifferenceCause[])
    .map((cause) => causeDefinition(cause).compat)
    .filter((compat) => compat !== undefined);
  t.deepEqual([...new Set(named)], ['audio-blocks']);
  for (const compat of named) t.true((compatIds as readonly string[]).includes(compat));
});

test.serial('a service that has no WAV has nothing for the EchoKit server', async (t) => {
  const scenario = scenarioOf('moon', script);
  const run = await runner.run(scenario, { providers: ['openrouter'], servers });
  t.deepEqual(
    run.map(({ measurement }) => measurement.turns[0]!.outcome),
    ['ok', 'failed'],
  );
});

test.serial('the requests are those of the EchoKit server', async (t) => {
  const counts = async (provider: string): Promise<[requests: number, whole: boolean][]> => {
    const run = await runner.run(scenarioOf('moon', script), { providers: [provider], servers });
    return run.map(({ recorded }) => {
      const of = (type: string) => recorded.events.filter((event) => event.type === type);
      const sentences = of('sentence').length;
      return [of('request').length, of('request').length === sentences];
    });
  };
  t.deepEqual(await counts('elevenlabs'), [
    [1, false],
    [3, true],
  ]);
  t.deepEqual(await counts('fish-live'), [
    [1, false],
    [3, true],
  ]);
  // A stream becomes a whole WAV, which arrives in one instant.
  const run = await runner.run(scenarioOf('moon', script), {
    providers: ['openai-stream'],
    servers,
  });
  const hold = run.map(({ measurement }) => measurement.turns[0]!.spans.serverHold ?? 0);
  t.is(hold[0], 0);
  t.true(hold[1]! > 300_000);
});

test.serial('gsv is asked again when it takes 15 s, and the turn is saved', async (t) => {
  const slow = `[stand_in]\nfault = { kind = "stall", request = 1 }\n${script}`;
  const [own, echoKit] = await runner.run(scenarioOf('stalled', slow), {
    providers: ['gsv'],
    servers,
  });
  t.is(own!.measurement.turns[0]!.outcome, 'failed');
  t.is(echoKit!.measurement.turns[0]!.outcome, 'ok');
  const retries = echoKit!.recorded.events.filter((event) => event.type === 'retry');
  t.is(retries.length, 1);
  t.like(retries[0], { source: 'provider', request: 1, attempt: 1, kind: 'timeout' });
  t.deepEqual(echoKit!.measurement.conservation.unexplained, []);
});

test.serial('what is left out behaves as on the usual server', async (t) => {
  const all = compatIds.map((id) => `"${id}"`).join(', ');
  const toml = `[server]\ncompat = "echokit-server"\ncompat_except = [${all}]\n${script}`;
  const [nothing] = await runner.run(scenarioOf('nothing', toml), { providers: ['elevenlabs'] });
  const [own] = await runner.run(scenarioOf('nothing', script), { providers: ['elevenlabs'] });
  t.is(nothing!.cell.server, 'echokit-server');
  t.deepEqual(nothing!.recorded.speaker, own!.recorded.speaker);
});
