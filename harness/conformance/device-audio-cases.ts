/** Sentences as a board takes and plays them: FP-9.9 to FP-9.11, FP-9.14, FP-9.15. */
import type { ServerEvent } from '../../firmware-protocol/server-event.ts';
import { type ConformanceCase, demand } from './conformance-case.ts';
import { pongAt } from './device-connection-cases.ts';
import type { DeviceStage } from './device-stage.ts';
import type { WirePeer } from './wire-peer.ts';

type DeviceCase = ConformanceCase<DeviceStage>;

const startAudio: ServerEvent = { type: 'StartAudio', text: 'Conformance.' };
const endAudio: ServerEvent = { type: 'EndAudio' };

/** Packets of 120 ms, as many as wanted. */
function packets(stage: DeviceStage, count: number): ServerEvent[] {
  return Array.from({ length: count }, () => ({
    type: 'AudioChunkWithVowel',
    data: stage.packet(),
    vowel: 0,
  }));
}

/** A whole sentence at once. */
const sentence = (stage: DeviceStage, count: number): ServerEvent[] => [
  startAudio,
  ...packets(stage, count),
  endAudio,
];

// ---- waiting for the end of a sentence ----

const waitCases: readonly DeviceCase[] = [
  {
    id: 'sentence/state-after-playing',
    title: 'EndResponse behind a sentence of 2.4 s is handled when it has been played.',
    clause: 'FP-9.9',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, ...sentence(stage, 20), { type: 'EndResponse' });
      await stage.sleep(2200);
      demand(stage.state() === 'Speaking', `after 2.2 s the board is ${stage.state()}`);
      await stage.sleep(500);
      demand(stage.state() === 'Listening', `after 2.7 s the board is ${stage.state()}`);
    },
  },
  {
    id: 'sentence/without-audio',
    title: 'A sentence without audio ends at once.',
    clause: 'FP-9.9',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, startAudio, endAudio, { type: 'EndResponse' });
      await stage.sleep(300);
      demand(stage.state() === 'Listening', `the board is ${stage.state()}`);
    },
  },
  {
    id: 'sentence/next-after-it',
    title: 'The next sentence begins when the one before has been played.',
    clause: 'FP-9.9',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, ...sentence(stage, 10), ...sentence(stage, 10), { type: 'EndResponse' });
      await stage.sleep(4000);
      const [first, second] = stage.reportsOf('playStart');
      const drained = stage.reportsOf('drained')[0];
      demand(second !== undefined && drained !== undefined, 'two sentences were not played');
      demand(second.atUs > drained.atUs, 'the second began before the end of the first');
      const ms = (second.atUs - first!.atUs) / 1000;
      demand(ms >= 1200 && ms < 1400, `it began ${ms} ms after the first, which has 1200 ms`);
    },
  },
  {
    id: 'sentence/reads-ahead',
    title: 'While a sentence is played a ping is answered, as long as less than 32 events wait.',
    clause: 'FP-9.9',
    async play(stage) {
      const peer = await stage.inState('Listening');
      stage.send(peer, ...sentence(stage, 20), ...Array.from({ length: 20 }, () => video));
      await stage.sleep(300);
      const ms = await pingTime(stage, peer);
      demand(ms < 500, `the pong came after ${Math.round(ms)} ms`);
    },
  },
  {
    id: 'sentence/stops-reading',
    title:
      'With more than 33 events behind a sentence of 3.6 s, a ping is answered when it has been played.',
    clause: 'FP-9.9',
    async play(stage) {
      const peer = await stage.inState('Listening');
      const startUs = stage.clock.nowUs();
      stage.send(peer, ...sentence(stage, 30), ...Array.from({ length: 60 }, () => video));
      await stage.sleep(500);
      await pingTime(stage, peer);
      const ms = (stage.clock.nowUs() - startUs) / 1000;
      demand(
        ms >= 3300,
        `the pong came ${Math.round(ms)} ms after the sentence, which has 3600 ms`,
      );
    },
  },
  {
    id: 'sentence/k0-ends-it',
    title: 'K0 in mid sentence ends the sound: what was queued is not played.',
    clause: 'FP-9.2',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, ...sentence(stage, 40));
      await stage.sleep(1000);
      stage.press('k0');
      (await stage.incoming()).accept();
      await stage.sleep(3000);
      const cleared = stage.reportsOf('playerCleared')[0]?.samples ?? 0;
      demand(cleared > 40_000, `${cleared} samples were thrown away`);
      demand(stage.state() === 'Listening', `the board is ${stage.state()}`);
    },
  },
];

const video: ServerEvent = { type: 'StartVideo' };

/** How long a pong takes. */
async function pingTime(stage: DeviceStage, peer: WirePeer): Promise<number> {
  const atUs = stage.clock.nowUs();
  peer.ping('wait');
  await peer.until(() => pongAt(peer, 'wait') !== undefined, 10_000);
  const pongUs = pongAt(peer, 'wait');
  demand(pongUs !== undefined, 'no pong came within 10 s');
  return (pongUs - atUs) / 1000;
}

// ---- the download ratio ----

/** Sends a sentence with a packet every so many milliseconds. */
async function paced(
  stage: DeviceStage,
  peer: WirePeer,
  count: number,
  everyMs: number,
): Promise<void> {
  stage.send(peer, startAudio);
  for (const packet of packets(stage, count)) {
    stage.send(peer, packet);
    await stage.sleep(everyMs);
  }
  stage.send(peer, endAudio);
}

const ratioCases: readonly DeviceCase[] = [
  ...(
    [
      ['half', 60, 0.5, false],
      ['nine-tenths', 108, 0.9, false],
      ['double', 240, 2, true],
    ] as const
  ).map(
    ([name, everyMs, expected, buffered]): DeviceCase => ({
      id: `ratio/${name}`,
      title: `A first sentence of ten packets, one every ${everyMs} ms, has the ratio ${expected}.`,
      clause: 'FP-9.10',
      async play(stage) {
        stage.demandReports();
        const peer = await stage.inState('Listening');
        await paced(stage, peer, 10, everyMs);
        await stage.sleep(500);
        const measured = stage.reportsOf('downloadRatio')[0];
        demand(measured !== undefined, 'no ratio was measured');
        demand(
          Math.abs(measured.ratio - expected) < 0.03 && measured.buffered === buffered,
          `the ratio is ${measured.ratio.toFixed(3)}`,
        );
      },
    }),
  ),
  {
    id: 'ratio/held-back',
    title: 'After a ratio of 1 or more a sentence is played when it is complete.',
    clause: 'FP-9.10',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      await paced(stage, peer, 5, 240);
      await stage.sleep(1500);
      const before = stage.reportsOf('playStart').length;
      stage.send(peer, startAudio, ...packets(stage, 5));
      await stage.sleep(2000);
      demand(stage.reportsOf('playStart').length === before, 'it was played before EndAudio');
      stage.send(peer, endAudio);
      await stage.sleep(500);
      demand(
        stage.reportsOf('playStart').length === before + 1,
        'it was not played after EndAudio',
      );
    },
  },
  {
    id: 'ratio/measured-once',
    title: 'The second sentence of an answer is not measured.',
    clause: 'FP-9.10',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      await paced(stage, peer, 5, 60);
      await stage.sleep(1500);
      await paced(stage, peer, 5, 240);
      await stage.sleep(1500);
      const { length } = stage.reportsOf('downloadRatio');
      demand(length === 1, `${length} ratios were measured`);
    },
  },
  ...(
    [
      [10, 1],
      [17, 2],
    ] as const
  ).map(
    ([seconds, expected]): DeviceCase => ({
      id: `ratio/after-${seconds}-s`,
      title:
        expected === 2
          ? 'After an EndVad 17 s later the ratio is measured again.'
          : 'After an EndVad 10 s later it is not.',
      clause: 'FP-9.10',
      async play(stage) {
        stage.demandReports();
        const peer = await stage.inState('Listening');
        await paced(stage, peer, 5, 60);
        await stage.sleep(1000 * seconds - 300);
        stage.send(peer, { type: 'EndVad' });
        await paced(stage, peer, 5, 60);
        await stage.sleep(1500);
        const { length } = stage.reportsOf('downloadRatio');
        demand(length === expected, `${length} ratios were measured`);
      },
    }),
  ),
  {
    id: 'ratio/first-without-audio',
    title: 'A first sentence without audio switches to complete sentences.',
    clause: 'FP-9.10',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, startAudio, endAudio);
      await stage.sleep(500);
      demand(stage.reportsOf('downloadRatio')[0]?.buffered === true, 'it did not');
    },
  },
];

// ---- the rest ----

const restCases: readonly DeviceCase[] = [
  ...(
    [
      [1, 128],
      [2, 0],
      [3, 128],
      [4, 0],
    ] as const
  ).map(
    ([count, rest]): DeviceCase => ({
      id: `rest/of-${count}`,
      title: `After a sentence of ${count} packets ${rest} samples are left over.`,
      clause: 'FP-9.11',
      async play(stage) {
        stage.demandReports();
        const peer = await stage.inState('Listening');
        stage.send(peer, ...sentence(stage, count));
        await stage.sleep(1500);
        const drained = stage.reportsOf('drained')[0];
        demand(drained?.restSamples === rest, `${drained?.restSamples} samples are left over`);
      },
    }),
  ),
  {
    id: 'rest/begins-the-next',
    title: 'What is left over begins the next sentence.',
    clause: 'FP-9.11',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, ...sentence(stage, 1), ...sentence(stage, 1));
      await stage.sleep(1500);
      const rests = stage.reportsOf('drained').map(({ restSamples }) => restSamples);
      demand(
        rests.join() === '128,0',
        `after two sentences of one packet the rests are ${rests.join(', ')}`,
      );
    },
  },
];

// ---- packets and volume ----

const pcm = (samples: number, value: number): ServerEvent => ({
  type: 'AudioChunki16',
  data: new Int16Array(samples).fill(value),
  vowel: 0,
});

const packetCases: readonly DeviceCase[] = [
  ...(
    [
      [
        'broken',
        'An opus packet that cannot be decoded is dropped.',
        (): Uint8Array => Uint8Array.of(0xff, 0xff, 0xff),
        0,
      ],
      [
        'empty',
        'An empty packet is concealed for 120 ms.',
        (): Uint8Array => new Uint8Array(0),
        1920,
      ],
      [
        'short',
        'A packet of 20 ms is played: one byte, whose frame is left to the decoder.',
        (): Uint8Array => Uint8Array.of(0x48),
        320,
      ],
      ['sixty', 'A packet of 60 ms is played.', (): Uint8Array => Uint8Array.of(0x58), 960],
      [
        'usual',
        'A packet of 120 ms is played.',
        (stage: DeviceStage): Uint8Array => stage.packet(),
        1920,
      ],
    ] as const
  ).map(
    ([name, title, data, samples]): DeviceCase => ({
      id: `packet/${name}`,
      title,
      clause: 'FP-9.14',
      async play(stage) {
        stage.demandReports();
        const peer = await stage.inState('Speaking');
        stage.send(peer, { type: 'AudioChunkWithVowel', data: data(stage), vowel: 0 });
        await stage.sleep(300);
        const handled = stage
          .reportsOf('frameHandled')
          .find(({ event }) => event === 'AudioChunkWithVowel');
        demand((handled?.samples ?? 0) === samples, `${handled?.samples ?? 0} samples were taken`);
        demand(peer.open && stage.state() === 'Speaking', 'the sentence was broken off');
      },
    }),
  ),
  {
    id: 'packet/two-of-120-ms',
    title: 'A packet of 240 ms in two frames is dropped.',
    clause: 'FP-9.14',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Speaking');
      // Code 3 of RFC 6716: four frames of 60 ms, each of one byte.
      const data = Uint8Array.of(0x5b, 0x04, 0, 0, 0, 0);
      stage.send(peer, { type: 'AudioChunkWithVowel', data, vowel: 0 });
      await stage.sleep(300);
      const handled = stage.reportsOf('frameHandled').find(({ samples }) => (samples ?? 0) > 0);
      demand(handled === undefined, `${handled?.samples} samples were taken`);
    },
  },
  {
    id: 'packet/outside-of-speaking',
    title: 'Audio outside of Speaking is dropped.',
    clause: 'FP-9.3',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Listening');
      stage.send(peer, pcm(2560, 999));
      await stage.sleep(500);
      demand(!stage.speaker().includes(999), 'it was played');
    },
  },
  ...(
    [
      ['full-after-boot', [], 8000],
      ['first-up-halves', ['volume-up'], 4000],
      ['first-down-is-an-eighth', ['volume-down'], 1000],
      ['two-ups-are-full', ['volume-up', 'volume-up'], 8000],
      ['never-above-full', ['volume-up', 'volume-up', 'volume-up'], 8000],
      ['least', ['volume-down', 'volume-down', 'volume-down'], 500],
    ] as const
  ).map(
    ([name, keys, level]): DeviceCase => ({
      id: `volume/${name}`,
      title: `After ${keys.length === 0 ? 'boot' : keys.join(', ')} samples of 8000 are played as ${level}.`,
      clause: 'FP-9.15',
      async play(stage) {
        stage.demandReports();
        const peer = await stage.inState('Speaking');
        for (const key of keys) {
          stage.press(key);
          await stage.sleep(200);
        }
        stage.send(peer, pcm(2560, 8000));
        await stage.sleep(500);
        const loudest = stage.speaker().reduce((most, sample) => Math.max(most, sample), 0);
        demand(loudest === level, `they are played as ${loudest}`);
      },
    }),
  ),
  {
    id: 'volume/not-for-what-is-queued',
    title: 'The volume changes for what comes later, not for what is queued.',
    clause: 'FP-9.15',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Speaking');
      stage.send(peer, pcm(16_000, 8000));
      await stage.sleep(200);
      stage.press('volume-down');
      await stage.sleep(1500);
      const played = stage.speaker();
      demand(!played.includes(1000), 'what was queued became quieter');
    },
  },
];

export const deviceAudioCases: readonly DeviceCase[] = [
  ...waitCases,
  ...ratioCases,
  ...restCases,
  ...packetCases,
];
