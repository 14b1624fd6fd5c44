/** Which messages a board takes and what they do to its state: FP-3, FP-9.3, FP-9.2, FP-9.12, FP-9.13. */
import type { ServerEvent } from '../../firmware-protocol/server-event.ts';
import type { DeviceState } from '../device/device-event.ts';
import { type ConformanceCase, demand } from './conformance-case.ts';
import { messageForms } from './device-message-table.ts';
import { type DeviceStage, saidBy } from './device-stage.ts';

type DeviceCase = ConformanceCase<DeviceStage>;

const refusalLine = 'Failed to deserialize binary data';

const formCases: readonly DeviceCase[] = messageForms.map(
  ({ name, title, hex, event }): DeviceCase => ({
    id: `form/${name}`,
    title: `${event === null ? 'Refused and survived' : `Taken for ${event}`}: ${title}.`,
    clause: event === null ? 'FP-3.12' : 'FP-3.2',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Idle');
      const before = stage.reports.length;
      stage.sendBytes(peer, Buffer.from(hex, 'hex'));
      await stage.sleep(200);
      const reports = stage.reports.slice(before);
      const refusal = reports.find(
        (report) => report.type === 'log' && report.message.startsWith(refusalLine),
      );
      const refused = refusal?.type === 'log';
      if (event === null) demand(refused, 'the board took it');
      else demand(!refused, () => (refused ? refusal.message : ''));
      const taken = reports.find(({ type }) => type === 'frameReceived');
      if (taken?.type === 'frameReceived' && event !== null) {
        demand(taken.event === event, `the board took it for ${taken.event}`);
      }
      demand(peer.open, 'the connection is gone');
      stage.send(peer, { type: 'EndResponse' });
      await stage.sleep(200);
      demand(
        stage.state() === 'Listening',
        `after it EndResponse leaves the board ${stage.state()}`,
      );
    },
  }),
);

/** Forms of `EndResponse` that the wire can tell: a board that took one listens, one that refused it does not. */
const endResponseForms: readonly (readonly [string, string, string, boolean])[] = [
  ['fixstr', 'a short string', 'ab456e64526573706f6e7365', true],
  ['str8', 'a string with a length of one byte', 'd90b456e64526573706f6e7365', true],
  ['str16', 'a string with a length of two bytes', 'da000b456e64526573706f6e7365', true],
  ['bin8', 'bin', 'c40b456e64526573706f6e7365', true],
  ['map-to-nil', 'a map from the name to nil', '81ab456e64526573706f6e7365c0', true],
  [
    'with-more-behind',
    'its name with another event behind it',
    'ab456e64526573706f6e7365a6456e64566164',
    true,
  ],
  ['map-to-array', 'a map from the name to an empty array', '81ab456e64526573706f6e736590', false],
  ['map-to-map', 'a map from the name to an empty map', '81ab456e64526573706f6e736580', false],
  ['array', 'an array with the name', '91ab456e64526573706f6e7365', false],
  ['lower-case', 'its name in lower case', 'ab656e64726573706f6e7365', false],
  [
    'behind-another',
    'its name behind another event',
    'a6456e64566164ab456e64526573706f6e7365',
    false,
  ],
  ['cut', 'its name cut short', 'ab456e64526573706f6e73', false],
];

const wireFormCases: readonly DeviceCase[] = endResponseForms.map(
  ([name, title, hex, taken]): DeviceCase => ({
    id: `end-response/${name}`,
    title: `EndResponse as ${title} ${taken ? 'makes the board listen' : 'is refused'}.`,
    clause: taken ? 'FP-3.1' : 'FP-3.12',
    async play(stage) {
      const peer = stage.emulated ? await stage.inState('Idle') : await stage.boot();
      stage.sendBytes(peer, Buffer.from(hex, 'hex'));
      await stage.sleep(300);
      stage.hear();
      const heard = await peer.until(() => saidBy(peer).length > 0, stage.limits.stepMs);
      demand(
        heard === taken,
        taken
          ? 'speech is not sent: the board does not listen'
          : 'speech is sent: the board listens',
      );
      demand(peer.open, 'the connection is gone');
    },
  }),
);

// ---- states ----

const states: readonly DeviceState[] = ['Idle', 'Listening', 'Waiting', 'Speaking'];

/** `=`: the state stays. */
type Row = readonly [
  name: string,
  clause: string,
  Idle: string,
  Listening: string,
  Waiting: string,
  Speaking: string,
];

const rows: readonly (readonly [Row, (stage: DeviceStage) => ServerEvent | 'key' | 'speech'])[] = [
  [
    ['StartAudio', 'FP-9.3', 'Speaking', 'Speaking', 'Speaking', 'Speaking'],
    () => ({ type: 'StartAudio', text: 'Hi.' }),
  ],
  [['EndVad', 'FP-9.3', '=', 'Waiting', '=', 'Waiting'], () => ({ type: 'EndVad' })],
  [
    ['EndResponse', 'FP-9.3', 'Listening', '=', 'Listening', 'Listening'],
    () => ({ type: 'EndResponse' }),
  ],
  [['ASR', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'ASR', text: 'hi' })],
  [['Action', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'Action', action: 'say' })],
  [
    ['AudioChunk', 'FP-9.3', '=', '=', '=', '='],
    (stage) => ({ type: 'AudioChunk', data: stage.packet() }),
  ],
  [
    ['AudioChunkWithVowel', 'FP-9.3', '=', '=', '=', '='],
    (stage) => ({ type: 'AudioChunkWithVowel', data: stage.packet(), vowel: 2 }),
  ],
  [
    ['AudioChunki16', 'FP-9.3', '=', '=', '=', '='],
    () => ({ type: 'AudioChunki16', data: new Int16Array(512), vowel: 0 }),
  ],
  [['EndAudio', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'EndAudio' })],
  [['HelloStart', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'HelloStart' })],
  [
    ['HelloChunk', 'FP-9.3', '=', '=', '=', '='],
    () => ({ type: 'HelloChunk', data: new Uint8Array(100) }),
  ],
  [['HelloEnd', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'HelloEnd' })],
  [['StartVideo', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'StartVideo' })],
  [['EndVideo', 'FP-9.3', '=', '=', '=', '='], () => ({ type: 'EndVideo' })],
  [['DisplayText', 'FP-2.6', '=', '=', '=', '='], () => ({ type: 'DisplayText', text: 'x' })],
  [
    ['Choices', 'FP-2.6', '=', '=', '=', '='],
    () => ({ type: 'Choices', message: 'x', items: ['y'] }),
  ],
  [
    ['k0', 'FP-9.2', 'Listening', 'Idle', 'Listening', 'Listening'],
    (stage) => press(stage, 'k0', 'short'),
  ],
  [['k0-long', 'FP-9.12', '=', '=', '=', '='], (stage) => press(stage, 'k0', 'long')],
  [['volume-up', 'FP-9.15', '=', '=', '=', '='], (stage) => press(stage, 'volume-up', 'short')],
  [['volume-down', 'FP-9.15', '=', '=', '=', '='], (stage) => press(stage, 'volume-down', 'short')],
  [['speech', 'FP-9.5', '=', '=', '=', '='], () => 'speech'],
];

function press(
  stage: DeviceStage,
  key: 'k0' | 'volume-up' | 'volume-down',
  how: 'short' | 'long',
): 'key' {
  stage.press(key, how);
  return 'key';
}

const stateCases: readonly DeviceCase[] = rows.flatMap(([[name, clause, ...after], act]) =>
  states.map((state, i): DeviceCase => {
    const expected = after[i] === '=' ? state : after[i]!;
    const shown = name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
    return {
      id: `state/${state.toLowerCase()}-${shown}`,
      title:
        expected === state
          ? `${name} in ${state} leaves the state.`
          : `${name} in ${state} makes the board ${expected}.`,
      clause,
      async play(stage) {
        stage.demandReports();
        const peer = await stage.inState(state);
        const before = stage.reportsOf('state').length;
        const event = act(stage);
        if (typeof event === 'object') stage.send(peer, event);
        else if (event === 'speech') stage.hear();
        else if (name === 'k0' && state !== 'Listening') (await stage.incoming()).accept();
        await stage.sleep(2500);
        const passed = stage
          .reportsOf('state')
          .slice(before)
          .map(({ to }) => to);
        demand(stage.state() === expected, `the board is ${stage.state()}`);
        const direct = passed.length <= (expected === state ? 0 : 1);
        demand(direct, `on the way the board was ${passed.join(', ')}`);
      },
    };
  }),
);

// ---- hello ----

/** A WAV file of one value. */
const hello = (samples: number, value: number): Uint8Array => {
  const bytes = Buffer.alloc(44 + 2 * samples);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8, 'latin1');
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(16_000, 24);
  bytes.writeUInt32LE(32_000, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36, 'latin1');
  bytes.writeUInt32LE(2 * samples, 40);
  for (let i = 0; i < samples; i++) bytes.writeInt16LE(value, 44 + 2 * i);
  return bytes;
};

async function greet(stage: DeviceStage, files: readonly Uint8Array[]): Promise<Int16Array> {
  stage.demandReports();
  const peer = await stage.inState('Idle');
  for (const file of files) {
    stage.send(peer, { type: 'HelloStart' });
    for (let at = 0; at < file.length; at += 2048) {
      stage.send(peer, { type: 'HelloChunk', data: file.subarray(at, at + 2048) });
    }
    stage.send(peer, { type: 'HelloEnd' });
  }
  await stage.sleep(300);
  stage.press('k0');
  (await stage.incoming()).accept();
  await stage.sleep(3000);
  return stage.speaker();
}

const count = (samples: Int16Array, value: number): number =>
  samples.reduce((sum, sample) => sum + (sample === value ? 1 : 0), 0);

const helloCases: readonly DeviceCase[] = [
  {
    id: 'hello/played',
    title: 'The hello is played on K0, in whole chunks of 256 samples.',
    clause: 'FP-9.13',
    async play(stage) {
      const played = count(await greet(stage, [hello(8000, 1234)]), 1234);
      // 22 samples of header and 8000 of sound: 31 chunks.
      demand(played === 31 * 256 - 22, `${played} samples of the hello were played`);
    },
  },
  {
    id: 'hello/header-played',
    title: 'The header of the file is played as sound.',
    clause: 'FP-9.13',
    async play(stage) {
      const samples = await greet(stage, [hello(8000, 1234)]);
      const first = samples.find((sample) => sample !== 0);
      demand(first === Buffer.from('RI').readInt16LE(0), `the first sample is ${first}`);
    },
  },
  {
    id: 'hello/first-stays',
    title: 'A second hello is ignored until the restart.',
    clause: 'FP-9.13',
    async play(stage) {
      const samples = await greet(stage, [hello(4000, 1234), hello(4000, 4321)]);
      demand(count(samples, 4321) === 0, 'the second hello was played');
      demand(count(samples, 1234) > 0, 'the first hello was not played');
    },
  },
  {
    id: 'hello/beep',
    title: 'Before a hello has come a beep of 0.7 s is played.',
    clause: 'FP-9.13',
    async play(stage) {
      const samples = await greet(stage, []);
      const first = samples.findIndex((sample) => sample !== 0);
      const last = samples.findLastIndex((sample) => sample !== 0);
      const ms = (last - first) / 16;
      demand(first >= 0 && ms > 600 && ms < 720, `${Math.round(ms)} ms of sound were played`);
    },
  },
  {
    id: 'hello/ready-when-played',
    title: 'The board listens when the hello has been played, and not before.',
    clause: 'FP-9.2',
    async play(stage) {
      stage.demandReports();
      const peer = await stage.inState('Idle');
      stage.send(peer, { type: 'HelloStart' });
      stage.send(peer, { type: 'HelloChunk', data: hello(32_000, 1234) });
      stage.send(peer, { type: 'HelloEnd' });
      await stage.sleep(300);
      stage.press('k0');
      (await stage.incoming()).accept();
      await stage.sleep(1500);
      demand(
        stage.state() === 'Idle',
        `after 1.5 s of a hello of 2 s the board is ${stage.state()}`,
      );
      await stage.sleep(1500);
      demand(stage.state() === 'Listening', `after the hello the board is ${stage.state()}`);
    },
  },
];

export const deviceMessageCases: readonly DeviceCase[] = [
  ...formCases,
  ...wireFormCases,
  ...stateCases,
  ...helloCases,
];
