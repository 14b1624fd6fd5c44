import test from 'ava';
import { withRunFolder } from '../cli/recorded-run-folder.ts';
import { askRecordings } from '../cli/recording-questions.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { ConversationRunner, providerNames, scenarioOf } from './recorded-conversation.contract.ts';
import { changedConversation, changesNothing, type WhatIf } from './what-if.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const scenario = scenarioOf(
  'asked',
  '[[turn]]\nsay = "How far is it?"\nreply = "It is not far. You can walk there in a quarter of an hour."\n',
);

const hold = (path: string, change: WhatIf) =>
  runner.replay(path, { conversation: (one) => changedConversation(one, change) });

test.serial(
  'with the settings it had, a recording gives its own figures, on every platform',
  async (t) => {
    const recordings = await runner.run(scenario, { providers: providerNames });
    t.is(recordings.length, providerNames.length);
    const same: WhatIf = {
      device: deviceProfiles['diy']!,
      network: 'good-wifi',
      prebufferMs: 0,
      opusFrameMs: 120,
    };
    t.false(changesNothing(same));
    t.true(changesNothing({}));
    for (const { path, cell, measurement, recorded } of recordings) {
      const held = await hold(path, same);
      t.deepEqual(held.measurement.metrics, measurement.metrics, cell.provider);
      t.deepEqual(held.recorded.speaker, recorded.speaker, cell.provider);
      t.is(held.verdict.outcome, 'pass');
    }
  },
);

test.serial('what would have been is what is: the same as a run with those settings', async (t) => {
  const change: WhatIf = { device: deviceProfiles['box@0.3.0']!, network: 'weak-wifi' };
  for (const provider of ['openai-stream', 'elevenlabs', 'cosyvoice']) {
    const [recorded] = await runner.run(scenario, { providers: [provider] });
    const [truth] = await runner.run(scenario, {
      providers: [provider],
      devices: ['box@0.3.0'],
      networks: ['weak-wifi'],
    });
    const held = await hold(recorded!.path, change);
    t.notDeepEqual(held.measurement.metrics, recorded!.measurement.metrics);
    t.deepEqual(held.measurement.metrics, truth!.measurement.metrics, provider);
    t.deepEqual(held.recorded.speaker, truth!.recorded.speaker, provider);
  }
});

test.serial(
  'packets of another length and a prebuffer change what the board gets and when it begins',
  async (t) => {
    const [recorded] = await runner.run(scenario, { providers: ['stream_gsv'] });
    const short = await hold(recorded!.path, { opusFrameMs: 40 });
    const again = await runner.replay(short.path);
    t.deepEqual(
      again.recorded.speaker,
      short.recorded.speaker,
      'a what-if is held again as it was',
    );
    const samples = short.recorded.events.flatMap((event) =>
      event.source === 'server' && event.type === 'frame' && event.samples !== undefined
        ? [event.samples]
        : [],
    );
    t.deepEqual([...new Set(samples)], [640]);
    const buffered = await hold(recorded!.path, { prebufferMs: 480 });
    const boot = buffered.recorded.events.find(({ type }) => type === 'boot') as object;
    t.is((boot as { prebufferMs?: number }).prebufferMs, 480);
    const heard = (one: typeof buffered) =>
      one.measurement.metrics['audible_at_speaker_ms.p50'] as number;
    t.true(heard(buffered) > heard(recorded!));
    t.is(buffered.measurement.metrics['underruns.unverified'], 0);
    t.is(buffered.measurement.metrics['conservation.unexplained_samples'], 0);
  },
);

test.serial(
  'questions to recordings are answered without a run, in words and as JSON',
  async (t) => {
    const slow = scenarioOf(
      'slow',
      '[stand_in]\nspeed = 0.8\n[[turn]]\nsay = "How far is it?"\nreply = "It is not far, you can walk there in a quarter of an hour."\n',
    );
    const [recorded] = await runner.run(slow, { providers: ['openai-stream'] });
    const ask = (json: boolean): string => {
      const printed: string[] = [];
      const terminal = { print: (text: string) => printed.push(text), color: false, width: 100 };
      const questions = { blame: true, prebufferCurve: true, json };
      t.is(
        withRunFolder(recorded!.path, (run) => askRecordings(terminal as never, run, questions)),
        0,
      );
      return printed.join('\n');
    };
    const { recordings, prebuffer } = JSON.parse(ask(true));
    t.is(recordings[0].blame.length, recorded!.measurement.metrics['underruns.count']);
    t.true(recordings[0].blame.every(({ cause }: { cause: string }) => cause === 'provider'));
    t.is(prebuffer[0].points.at(-1).underruns, 0);
    const words = ask(false);
    t.regex(words, /Whose fault each underrun was/);
    t.regex(words, /audio for frame \d+ came\s+\d+ ms\s+after/);
    t.regex(words, /openai-stream on good-wifi, 1 answer: knee at \d+ ms, \d+\s+ms are enough/);
    t.regex(words, /← knee/);
  },
);
