import test from 'ava';
import type { DeviceState } from './device-event.ts';
import {
  DeviceMachine,
  type DeviceReport,
  type DownlinkEvent,
  debugString,
  type MachineEffect,
  type MachineInput,
} from './device-machine.ts';
import { type DeviceConstants, type DeviceProfile, deviceProfiles, diy } from './device-profile.ts';
import type { PlayerMessage } from './player.ts';
import { deviceStates, type MachineEventName, machineEvents } from './transition-table.ts';

/** A machine with its surroundings played by hand: connections succeed, the hello takes 700 ms. */
class Bench {
  readonly machine: DeviceMachine;
  nowUs = 0;
  readonly log: { atUs: number; effect: MachineEffect }[] = [];
  /** Answers to `connect`; when used up, they succeed. */
  dials: boolean[] = [];
  dialUs = 0;
  transmits = true;
  hello: number | undefined = 700_000;
  #connection = 1;
  #frame = 0;
  readonly #agenda: { atUs: number; input: MachineInput }[] = [];

  constructor(changes: Partial<DeviceConstants> = {}, profile: DeviceProfile = diy) {
    const constants = { ...profile.constants, ...changes };
    this.machine = new DeviceMachine({ ...profile, constants }, 1, 0);
  }

  /** Puts inputs in and lets the machine run at this instant. */
  give(...inputs: MachineInput[]): boolean[] {
    const taken = inputs.map((input) => this.machine.input(input));
    this.#drain();
    return taken;
  }

  server(...events: DownlinkEvent[]): boolean[] {
    return this.give(
      ...events.map((event) => ({
        type: 'downlink' as const,
        connection: this.#connection,
        frame: ++this.#frame,
        event,
      })),
    );
  }

  mic(chunks: number, samples = 512): boolean[] {
    return Array.from({ length: chunks }, () =>
      this.give({ type: 'micChunk', samples: new Int16Array(samples).fill(1), speech: true }),
    ).flat();
  }

  /** Lets time pass; whatever is due on the way happens at its instant. */
  pass(durationUs: number): this {
    const untilUs = this.nowUs + durationUs;
    for (;;) {
      const next = this.#agenda[0];
      const due = Math.min(
        this.machine.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
        next?.atUs ?? Number.POSITIVE_INFINITY,
      );
      if (due > untilUs) break;
      this.nowUs = Math.max(this.nowUs, due);
      if (next?.atUs === due) {
        this.#agenda.shift();
        this.machine.input(next.input);
      }
      this.#drain();
    }
    this.nowUs = untilUs;
    this.#drain();
    return this;
  }

  #drain(): void {
    for (let effects = this.machine.drain(this.nowUs); effects.length > 0; ) {
      for (const effect of effects) {
        this.log.push({ atUs: this.nowUs, effect });
        if (effect.type === 'connect') {
          const works = this.dials.shift() ?? true;
          if (works)
            this.#later(this.dialUs, { type: 'connected', connection: ++this.#connection });
          else this.#later(this.dialUs, { type: 'connectFailed', message: 'refused' });
        }
        if (
          effect.type === 'player' &&
          effect.message.kind === 'hello' &&
          this.hello !== undefined
        ) {
          this.#later(this.hello, { type: 'helloPlayed' });
        }
        if (effect.type === 'transmit' && this.transmits) this.#later(0, { type: 'transmitted' });
      }
      effects = this.machine.drain(this.nowUs);
    }
  }

  #later(delayUs: number, input: MachineInput): void {
    this.#agenda.push({ atUs: this.nowUs + delayUs, input });
    this.#agenda.sort((a, b) => a.atUs - b.atUs);
  }

  /** Forgets what happened so far. */
  clear(): this {
    this.log.length = 0;
    return this;
  }

  reports<T extends DeviceReport['type']>(type: T) {
    return this.log.flatMap(({ atUs, effect }) =>
      effect.type === 'report' && effect.event.type === type
        ? [{ atUs, ...(effect.event as Extract<DeviceReport, { type: T }>) }]
        : [],
    );
  }

  player(): { atUs: number; message: PlayerMessage }[] {
    return this.log.flatMap(({ atUs, effect }) =>
      effect.type === 'player' ? [{ atUs, message: effect.message }] : [],
    );
  }

  transmitted() {
    return this.log.flatMap(({ atUs, effect }) =>
      effect.type === 'transmit' ? [{ atUs, ...effect.message }] : [],
    );
  }

  lines(): string[] {
    return this.reports('log').map((line) => line.message);
  }

  count(type: MachineEffect['type']): number {
    return this.log.filter(({ effect }) => effect.type === type).length;
  }

  /** Brings a fresh machine into a state by the server alone (section 5.2). */
  reach(state: DeviceState): this {
    if (state === 'Listening' || state === 'Waiting') this.server({ type: 'EndResponse' });
    this.pass(100_000);
    if (state === 'Waiting') this.server({ type: 'EndVad' });
    if (state === 'Speaking') this.server({ type: 'StartAudio', text: 'Hi.' });
    return this.pass(100_000).clear();
  }
}

const k0 = { type: 'key', key: 'k0', press: 'short' } as const;
const k0Long = { type: 'key', key: 'k0', press: 'long' } as const;

function audio(samples = 1920): DownlinkEvent {
  return {
    type: 'audio',
    event: 'AudioChunkWithVowel',
    samples: new Int16Array(samples).fill(7),
    vowel: 3,
  };
}

function start(text = 'Hi.'): DownlinkEvent {
  return { type: 'StartAudio', text };
}

/** Makes one event happen. */
function happen(bench: Bench, event: MachineEventName): void {
  switch (event) {
    case 'k0Short':
      bench.give(k0);
      break;
    case 'k0Long':
      bench.give(k0Long);
      break;
    case 'volumeUp':
      bench.give({ type: 'key', key: 'volume-up', press: 'short' });
      break;
    case 'volumeDown':
      bench.give({ type: 'key', key: 'volume-down', press: 'short' });
      break;
    case 'idleTimer':
      bench.pass(300_000_000);
      break;
    case 'sentencePlayed':
      bench.give({ type: 'sentencePlayed' });
      break;
    case 'micChunk':
      bench.mic(1);
      break;
    case 'micEnd':
      bench.give({ type: 'micEnd' });
      break;
    case 'vowel':
      bench.give({ type: 'vowel', vowel: 1 });
      break;
    case 'linkLost':
      bench.give({ type: 'linkDown', connection: 1 });
      break;
    case 'answerTimer':
      bench.pass(30_000_000);
      break;
    case 'newServerUrl':
      throw new Error('Boards with NFC are not modelled.');
    case 'ASR':
      bench.server({ type: 'ASR', text: 'x' });
      break;
    case 'Action':
      bench.server({ type: 'Action', action: 'x' });
      break;
    case 'StartAudio':
      bench.server(start());
      break;
    case 'audio':
      bench.server(audio());
      break;
    case 'HelloChunk':
      bench.server({ type: 'HelloChunk', data: new Uint8Array(2) });
      break;
    case 'EndAudio':
    case 'EndVad':
    case 'EndResponse':
    case 'HelloStart':
    case 'HelloEnd':
    case 'StartVideo':
    case 'EndVideo':
      bench.server({ type: event });
      break;
  }
}

// EchoKit device protocol reference, section 5.2, written down again: the state after the event.
const stateAfter: { [Event in MachineEventName]: readonly [string, string, string, string] } = {
  k0Short: ['Listening', 'Idle', 'Listening', 'Listening'],
  k0Long: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  volumeUp: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  volumeDown: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  idleTimer: ['Idle', 'Idle', 'Waiting', 'Speaking'],
  sentencePlayed: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  micChunk: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  micEnd: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  vowel: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  ASR: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  Action: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  StartAudio: ['Speaking', 'Speaking', 'Speaking', 'Speaking'],
  audio: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  EndAudio: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  EndVad: ['Idle', 'Waiting', 'Waiting', 'Waiting'],
  EndResponse: ['Listening', 'Listening', 'Listening', 'Listening'],
  HelloStart: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  HelloChunk: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  HelloEnd: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  StartVideo: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  EndVideo: ['Idle', 'Listening', 'Waiting', 'Speaking'],
  newServerUrl: ['Idle', 'Idle', 'Idle', 'Idle'],
  // Not in the reference: what happens instead of quirks Q6 and Q41.
  linkLost: ['Idle', 'Idle', 'Waiting', 'Speaking'],
  answerTimer: ['Idle', 'Listening', 'Listening', 'Speaking'],
};

/** What the board must be like for the event to exist. */
const madeFor: { readonly [Event in MachineEventName]?: DeviceProfile } = {
  linkLost: { ...diy, quirksOff: ['Q6'] },
  answerTimer: { ...diy, quirksOff: ['Q41'] },
};
const reachable = machineEvents.filter((event) => event !== 'newServerUrl');
/** Event × state, as the tests have reached it. */
const covered = new Set<string>();

for (const event of reachable) {
  test(`every state has its answer to ${event}`, (t) => {
    for (const [i, state] of deviceStates.entries()) {
      const bench = new Bench({}, madeFor[event]).reach(state);
      t.is(bench.machine.state, state);
      happen(bench, event);
      bench.pass(1_000_000);
      t.is(bench.machine.state, stateAfter[event][i] as DeviceState, `in ${state}`);
      t.is(bench.count('reboot'), 0);
      covered.add(`${event} × ${state}`);
    }
  });
}

test('the answers above cover every event in every state', (t) => {
  const all = reachable.flatMap((event) => deviceStates.map((state) => `${event} × ${state}`));
  t.deepEqual([...covered], all);
  t.is(all.length, 23 * 4);
  t.log(
    `protocol coverage: ${covered.size} of ${all.length} (event × state); newServerUrl needs NFC`,
  );
});

test('which events close the gate, in which states', (t) => {
  const closing: Partial<Record<MachineEventName, readonly DeviceState[]>> = {
    k0Short: ['Idle', 'Waiting', 'Speaking'],
    micChunk: ['Idle', 'Waiting', 'Speaking'],
    EndVad: deviceStates,
    EndResponse: deviceStates,
    linkLost: ['Listening'],
    answerTimer: ['Waiting'],
  };
  for (const event of reachable) {
    for (const state of deviceStates) {
      const bench = new Bench({}, madeFor[event]).reach(state);
      happen(bench, event);
      bench.pass(1_000_000);
      const expected = closing[event]?.includes(state) ?? false;
      t.is(bench.count('closeGate') > 0, expected, `${event} in ${state}`);
    }
  }
});

test('K0 opens the new connection, drops the old one, plays the hello and then listens', (t) => {
  const bench = new Bench();
  bench.dialUs = 50_000;
  bench.give(k0);
  bench.pass(2_000_000);
  const order = bench.log.flatMap(({ atUs, effect }) => {
    if (effect.type === 'report' && effect.event.type === 'display') {
      return [`${atUs} ${effect.event.text}`];
    }
    if (effect.type === 'report' && effect.event.type === 'state') {
      return [`${atUs} → ${effect.event.to}`];
    }
    return effect.type === 'report' ? [] : [`${atUs} ${effect.type}`];
  });
  t.deepEqual(order, [
    '0 closeGate',
    '23040 Connecting...',
    '23040 connect',
    '73040 dropConnection',
    '73040 player',
    '773040 → Listening',
    '796080 Ready',
  ]);
  t.deepEqual(bench.lines(), [
    '[Select] Received event: Event("k0")',
    'Received event: k0',
    'Waiting for hello response',
    'Hello response received',
  ]);
});

test('three failed tries, 300 ms apart, end in a reboot', (t) => {
  const bench = new Bench({ redrawUs: 0 });
  bench.dials = [false, false, false, true];
  bench.give(k0);
  bench.pass(5_000_000);
  t.deepEqual(
    bench.log.filter(({ effect }) => effect.type === 'connect').map(({ atUs }) => atUs),
    [0, 300_000, 600_000],
  );
  const reboot = bench.log.at(-1)!;
  t.deepEqual(reboot, {
    atUs: 900_000,
    effect: { type: 'reboot', cause: 'All reconnect attempts failed' },
  });
  t.deepEqual(bench.lines().slice(2), [
    'Reconnect attempt 1/3 failed: refused',
    'Reconnect attempt 2/3 failed: refused',
    'Reconnect attempt 3/3 failed: refused',
    'Error: All reconnect attempts failed',
    'WebSocket task finished',
  ]);
  t.is(bench.machine.nextDeadlineUs(), undefined);
  bench.clear().server({ type: 'EndResponse' });
  t.deepEqual(bench.pass(1_000_000).log, []);
});

test('the third try may succeed', (t) => {
  const bench = new Bench();
  bench.dials = [false, false, true];
  bench.give(k0);
  t.is(bench.pass(5_000_000).machine.state, 'Listening');
});

test('microphone chunks wait while the hello plays and are taken right after Ready', (t) => {
  const bench = new Bench();
  bench.give(k0);
  bench.pass(100_000);
  t.true(bench.mic(64).every((taken) => taken));
  t.deepEqual(bench.mic(2), [false, false]);
  bench.pass(2_000_000);
  t.is(bench.transmitted()[0]!.kind, 'startChat');
  // Ready at 746 080 µs; the first chunk redraws the screen before StartChat leaves.
  t.is(bench.transmitted()[0]!.atUs, 23_040 + 700_000 + 2 * 23_040);
});

test('an utterance: StartChat with the first chunk, then frames of 8192 samples, the tail thrown away', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Listening');
  bench.mic(40);
  bench.pass(1);
  t.deepEqual(
    bench.transmitted().map((m) => (m.kind === 'audio' ? m.samples.length : m.kind)),
    ['startChat', 8192, 8192],
  );
  t.like(bench.transmitted()[2], { capturedSamples: 16_384 });
  bench.server({ type: 'EndVad' });
  t.like(bench.reports('uploadDiscarded'), [{ samples: 8 * 512, cause: 'EndVad' }]);
  t.is(bench.machine.state, 'Waiting');
  bench.server({ type: 'EndResponse' });
  bench.clear().mic(1);
  t.is(bench.transmitted()[0]!.kind, 'startChat');
});

for (const version of ['0.2.0', '0.2.2', '0.3.0']) {
  test(`firmware ${version} sends the rest of the utterance and Submit when the speech ends`, (t) => {
    const bench = new Bench({}, deviceProfiles[`diy@${version}`]).reach('Listening');
    bench.mic(20);
    bench.pass(100_000);
    bench.give({ type: 'micEnd' });
    bench.pass(100_000);
    t.deepEqual(
      bench.transmitted().map((m) => (m.kind === 'audio' ? m.samples.length : m.kind)),
      ['startChat', 8192, 20 * 512 - 8192, 'submit'],
    );
    t.is(bench.machine.state, 'Waiting');
    t.deepEqual(bench.reports('uploadDiscarded'), []);
    bench.give({ type: 'micEnd' });
    t.is(bench.machine.state, 'Waiting');
  });
}

test('firmware that submits gives up no utterance after 10 s, and an end of nothing is nothing', (t) => {
  const bench = new Bench({}, deviceProfiles['diy@0.3.0']).reach('Listening');
  bench.give({ type: 'micEnd' });
  t.is(bench.machine.state, 'Listening');
  t.deepEqual(bench.transmitted(), []);
  for (let i = 0; i < 400; i++) {
    bench.mic(1);
    bench.pass(32_000);
  }
  t.deepEqual(bench.reports('uploadDiscarded'), []);
  t.is(bench.transmitted().filter((m) => m.kind === 'startChat').length, 1);
});

test('no ASR within 10 s of audio: the device gives up alone and the next chunk starts anew', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Listening');
  bench.mic(319);
  bench.pass(1);
  t.is(bench.count('closeGate'), 0);
  bench.mic(1);
  bench.pass(1);
  // 320 chunks are 10.24 s.
  t.is(bench.count('closeGate'), 1);
  t.true(bench.lines().includes('No ASR result after 10s audio, ending request'));
  t.is(bench.machine.state, 'Listening');
  t.is(bench.transmitted().length, 1 + 20);
  bench.clear().mic(1);
  bench.pass(1);
  t.is(bench.transmitted()[0]!.kind, 'startChat');
});

test('an ASR event, however early, lifts the 10 s rule for the utterance', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Listening');
  bench.mic(10);
  bench.server({ type: 'ASR', text: 'so far' });
  bench.mic(400);
  bench.pass(1);
  t.is(bench.count('closeGate'), 0);
});

test('after EndAudio server events wait until the player has drained; local ones do not', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.server(audio(), { type: 'EndAudio' }, { type: 'EndResponse' });
  bench.pass(5_000_000);
  t.is(bench.machine.state, 'Speaking');
  bench.give({ type: 'key', key: 'volume-up', press: 'short' });
  t.is(bench.reports('volume').length, 1);
  bench.give({ type: 'sentencePlayed' });
  t.is(bench.machine.state, 'Listening');
  t.true(bench.lines().indexOf('Received notify event') > 0);
});

test('a signal nobody waited for is remembered once', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.give({ type: 'sentencePlayed' }, { type: 'sentencePlayed' });
  bench.server({ type: 'EndAudio' }, start(), { type: 'EndAudio' }, { type: 'EndResponse' });
  // The first EndAudio goes through at once, the second waits.
  t.is(bench.machine.state, 'Speaking');
  t.is(bench.lines().filter((l) => l === 'Received notify event').length, 1);
});

test('the queue of server events holds 32, the others stay outside', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.server({ type: 'EndAudio' });
  const taken = bench.server(...Array.from({ length: 40 }, () => audio()));
  t.is(taken.filter((x) => x).length, 32);
  t.false(bench.machine.acceptsDownlink);
  bench.give({ type: 'sentencePlayed' });
  t.true(bench.machine.acceptsDownlink);
});

test('the first sentence is measured and shown from the next one on', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  for (let i = 0; i < 10; i++) {
    bench.server(audio());
    bench.pass(30_000);
  }
  bench.server({ type: 'EndAudio' });
  // 300 ms for 1.2 s of audio.
  t.like(bench.reports('downloadRatio'), [{ ratio: 0.25, buffered: false }]);
  t.true(bench.lines().includes('Audio speed: 0.25x'));
  bench.give({ type: 'sentencePlayed' });
  bench.clear().server(start('Next.'));
  t.deepEqual(
    bench.reports('display').map((d) => d.text),
    ['[0.25x]|Speaking...', 'Next.'],
  );
});

// EchoKit device protocol reference, section 5.8, worked values.
for (const [title, lastGaps, ratio, buffered] of [
  ['EndAudio right after the last of ten packets in real time', 0, 0.9, false],
  ['EndAudio one interval later', 1, 1, true],
] as const) {
  test(`download ratio: ${title}`, (t) => {
    const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
    for (let i = 0; i < 10; i++) {
      if (i > 0) bench.pass(120_000);
      bench.server(audio());
    }
    bench.pass(120_000 * lastGaps);
    bench.server({ type: 'EndAudio' });
    t.like(bench.reports('downloadRatio'), [{ ratio, buffered }]);
  });
}

test('a ratio of 1 or more holds sentences back and plays each as one block without mouth shapes', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.server(audio());
  bench.pass(200_000);
  bench.server({ type: 'EndAudio' });
  bench.give({ type: 'sentencePlayed' });
  bench.clear().server(start(), audio(100), audio(200));
  t.deepEqual(
    bench.player().map((p) => p.message.kind),
    ['start'],
  );
  t.is(bench.machine.ledger().heldSamples, 300);
  t.deepEqual(
    bench.reports('frameHandled').map((f) => f.disposition),
    [undefined, 'held', 'held'],
  );
  bench.server({ type: 'EndAudio' });
  const [, block, end] = bench.player().map((p) => p.message);
  t.like(block, { kind: 'audio', sentence: 2 });
  t.true(block?.kind === 'audio' && block.samples.length === 300 && block.vowel === undefined);
  t.like(end, { kind: 'end', sentence: 2 });
  t.is(bench.machine.ledger().heldSamples, 0);
  // Measured once: no second ratio although this one took no time.
  t.is(bench.reports('downloadRatio').length, 0);
});

test('an empty first sentence makes the ratio infinite', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.server({ type: 'EndAudio' });
  t.like(bench.reports('downloadRatio'), [{ ratio: Number.POSITIVE_INFINITY, buffered: true }]);
  t.true(bench.lines().includes('Audio speed: infx'));
});

test('EndVad measures again when the last measurement began 16 s ago, not earlier', (t) => {
  for (const [ageUs, measured] of [
    [15_999_999, 0],
    [16_000_000, 1],
  ] as const) {
    const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
    bench.server(audio());
    const measuredAt = bench.nowUs;
    bench.server({ type: 'EndAudio' });
    bench.give({ type: 'sentencePlayed' });
    bench.server({ type: 'EndResponse' });
    bench.pass(measuredAt + ageUs - bench.nowUs);
    bench.clear().server({ type: 'EndVad' }, start(), audio(), { type: 'EndAudio' });
    t.is(bench.reports('downloadRatio').length, measured);
  }
});

test('EndResponse in mid sentence throws held audio away and says so', (t) => {
  const bench = new Bench({ redrawUs: 0, downloadRatioAtBoot: 2 }).reach('Speaking');
  bench.server(audio(1000), { type: 'EndResponse' });
  t.like(bench.reports('playerCleared'), [{ samples: 1000, cause: 'EndResponse' }]);
  t.deepEqual(bench.machine.ledger(), { heldSamples: 0, droppedHeldSamples: 1000 });
  t.is(bench.count('abandonSentence'), 1);
});

test('K0 in mid sentence keeps held audio for the next sentence', (t) => {
  const bench = new Bench({ redrawUs: 0, downloadRatioAtBoot: 2 }).reach('Speaking');
  bench.server(audio(1000));
  bench.give(k0);
  bench.pass(2_000_000);
  bench.clear().server(start(), audio(500), { type: 'EndAudio' });
  const block = bench.player()[1]!.message;
  t.true(block.kind === 'audio' && block.samples.length === 1500);
});

test('StartAudio reaches the player when the screen has been rewritten', (t) => {
  const bench = new Bench();
  bench.server(start(), audio());
  bench.pass(1_000_000);
  t.deepEqual(
    bench.player().map(({ atUs, message }) => [atUs, message.kind]),
    [
      [23_040, 'start'],
      [23_040, 'audio'],
    ],
  );
  t.deepEqual(
    bench.reports('frameHandled').map((f) => f.atUs),
    [0, 23_040],
  );
});

test('an utterance on a dead connection reboots the board', (t) => {
  const bench = new Bench().reach('Listening');
  bench.give({ type: 'linkDown', connection: 1 });
  bench.pass(60_000_000);
  t.is(bench.count('reboot'), 0);
  bench.mic(1);
  bench.pass(100_000);
  t.deepEqual(bench.log.at(-1)!.effect, { type: 'reboot', cause: 'Failed to send message' });
});

test('a dead connection goes unnoticed in Waiting and Speaking', (t) => {
  for (const state of ['Waiting', 'Speaking'] as const) {
    const bench = new Bench().reach(state);
    bench.give({ type: 'linkDown', connection: 1 });
    bench.mic(3);
    bench.pass(1_000_000_000);
    t.is(bench.count('reboot'), 0);
    t.is(bench.machine.state, state);
    bench.give(k0);
    t.is(bench.pass(2_000_000).machine.state, 'Listening');
  }
});

test('a socket that takes nothing for 30 s reboots the board when its queue is full', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Listening');
  bench.transmits = false;
  // StartChat is with the socket, 32 frames fill the queue, the next one waits.
  bench.server({ type: 'ASR', text: 'go on' });
  bench.mic(16 * 32);
  bench.pass(1_000_000);
  t.is(bench.transmitted().length, 1);
  t.is(bench.count('reboot'), 0);
  const fullAt = bench.nowUs;
  bench.mic(16);
  bench.pass(29_999_999);
  t.is(bench.count('reboot'), 0);
  bench.pass(1);
  t.deepEqual(bench.log.at(-1), {
    atUs: fullAt + 30_000_000,
    effect: { type: 'reboot', cause: 'Timeout sending message' },
  });
});

test('300 s without any event close the connection of a listening board', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Listening');
  bench.pass(200_000_000);
  bench.give({ type: 'micEnd' });
  const lastUs = bench.nowUs;
  bench.pass(299_999_999);
  t.is(bench.machine.state, 'Listening');
  bench.pass(1);
  t.is(bench.machine.state, 'Idle');
  t.is(bench.log.at(-1)!.effect.type, 'closeConnection');
  t.is(bench.log.at(-1)!.atUs, lastUs + 300_000_000);
});

test('mouth shapes restart the idle timer', (t) => {
  const bench = new Bench().reach('Listening');
  bench.pass(100_000_000).give({ type: 'vowel', vowel: 1 });
  bench.pass(250_000_000);
  t.is(bench.machine.state, 'Listening');
  bench.pass(51_000_000);
  t.is(bench.machine.state, 'Idle');
});

test('the first volume up makes it quieter, because the counter and the player differ at boot', (t) => {
  const bench = new Bench();
  for (const key of ['volume-up', 'volume-up', 'volume-up', 'volume-down'] as const) {
    bench.give({ type: 'key', key, press: 'short' });
    bench.pass(50_000);
  }
  t.deepEqual(
    bench.reports('volume').map((v) => [v.level, v.gainShift]),
    [
      [4, 1],
      [5, 0],
      [5, 0],
      [4, 1],
    ],
  );
  for (let i = 0; i < 6; i++) {
    bench.give({ type: 'key', key: 'volume-down', press: 'short' });
    bench.pass(50_000);
  }
  t.like(bench.reports('volume').at(-1), { level: 1, gainShift: 4 });
});

test('the first complete hello is kept, later ones are ignored', (t) => {
  const bench = new Bench({ redrawUs: 0 });
  const hello = (...bytes: number[]): DownlinkEvent[] => [
    { type: 'HelloStart' },
    { type: 'HelloChunk', data: Uint8Array.from(bytes.slice(0, 3)) },
    { type: 'HelloChunk', data: Uint8Array.from(bytes.slice(3)) },
    { type: 'HelloEnd' },
  ];
  bench.server(...hello(1, 2, 3, 4), ...hello(9, 9, 9, 9));
  const messages = bench.player().map((p) => p.message);
  t.is(messages.length, 1);
  t.deepEqual(messages[0], {
    kind: 'setHello',
    samples: Int16Array.from([0x0201, 0x0403]),
  });
});

test('barge-in is off until a long press; then 0.6 s of sound over the answer take a new connection', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.mic(40);
  t.is(bench.count('connect'), 0);
  bench.give(k0Long);
  t.deepEqual(
    bench.reports('display').map((d) => d.text),
    ['Interrupt: true'],
  );
  bench.clear();
  bench.mic(18);
  t.is(bench.count('connect'), 0);
  t.is(bench.count('closeGate'), 0);
  bench.mic(1);
  bench.pass(1);
  // 19 chunks are 0.608 s.
  const order = bench.log.flatMap(({ effect }) =>
    effect.type === 'report'
      ? effect.event.type === 'state'
        ? [`→ ${effect.event.to}`]
        : []
      : [effect.type === 'player' ? effect.message.kind : effect.type],
  );
  t.deepEqual(order, ['→ Listening', 'connect', 'dropConnection', 'clear', 'transmit']);
  bench.mic(1);
  bench.pass(1);
  // The audio that interrupted goes out with the next chunk.
  t.like(bench.transmitted()[1], { kind: 'audio', capturedSamples: 20 * 512 });
  t.is(bench.transmitted().length, 2);
});

test('captured audio adds up over the sentences of an answer', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Speaking');
  bench.give(k0Long);
  bench.mic(10);
  bench.server(audio(), { type: 'EndAudio' });
  bench.give({ type: 'sentencePlayed' });
  bench.server(start());
  bench.mic(9);
  bench.pass(1);
  t.is(bench.machine.state, 'Listening');
});

test('events of an old connection are refused', (t) => {
  const bench = new Bench();
  bench.give(k0);
  bench.pass(2_000_000);
  t.false(
    bench.machine.input({
      type: 'downlink',
      connection: 1,
      frame: 9,
      event: { type: 'EndVad' },
    }),
  );
  t.false(bench.machine.input({ type: 'linkDown', connection: 1 }));
});

test('K0 while listening closes the connection and keeps what was captured', (t) => {
  const bench = new Bench().reach('Listening');
  bench.mic(3);
  bench.pass(100_000);
  bench.clear().give(k0);
  bench.pass(100_000);
  t.is(bench.count('closeConnection'), 1);
  t.deepEqual(bench.reports('uploadDiscarded'), []);
  bench.give(k0);
  bench.pass(2_000_000);
  t.like(bench.reports('uploadDiscarded'), [{ samples: 1536, cause: 'k0' }]);
});

test('texts are printed as Rust prints them for debugging', (t) => {
  t.is(debugString('a "b"\n\\ 你好'), '"a \\"b\\"\\n\\\\ 你好"');
});

test('the queue to the socket task holds 32 messages, the queue of local events 64', (t) => {
  const bench = new Bench({ redrawUs: 0 }).reach('Listening');
  bench.transmits = false;
  bench.mic(1);
  bench.server({ type: 'ASR', text: 'x' });
  let taken = 1;
  while (bench.mic(1)[0] === true) taken++;
  // `StartChat` is with the socket, 32 frames of 16 chunks wait, and the main loop waits with the next.
  t.is(taken, 33 * 16 + 64);
  t.is(bench.machine.freeLocalEvents, 0);
  // Keys and mouth shapes are in the same queue. A mouth shape waits in the player, a key here.
  t.deepEqual(bench.give(k0, { type: 'vowel', vowel: 1 }), [true, false]);
});

test('a key and the end of speech that find no room in the queue wait for it', (t) => {
  const bench = new Bench({ redrawUs: 0 }, deviceProfiles['diy@0.3.0']).reach('Listening');
  bench.hello = undefined;
  bench.give(k0);
  bench.give(k0);
  bench.pass(1);
  // It waits for a hello that does not come yet.
  while (bench.mic(1)[0] === true);
  t.is(bench.machine.freeLocalEvents, 0);
  bench.give({ type: 'micEnd' }, { type: 'key', key: 'volume-up', press: 'short' });
  bench.give({ type: 'helloPlayed' });
  bench.pass(1_000_000);
  t.is(bench.reports('volume').length, 1);
  t.is(bench.transmitted().at(-1)!.kind, 'submit');
  t.is(bench.machine.state, 'Waiting');
});

test('a mouth shape stops the main loop for a redrawing only where an avatar is stored', (t) => {
  for (const avatar of [false, true]) {
    const bench = new Bench({}, { ...diy, avatar }).reach('Speaking');
    const fromUs = bench.nowUs;
    bench.give({ type: 'vowel', vowel: 1 });
    bench.server({ type: 'EndAudio' });
    bench.pass(100_000);
    const line = bench.reports('log').find(({ message }) => message === 'Received audio end')!;
    t.is(line.atUs - fromUs, avatar ? 23_040 : 0);
    t.is(bench.reports('display').length, 0);
  }
});

test('the idle timer begins when an event has been handled: a handshake of minutes is no idleness', (t) => {
  const bench = new Bench({ redrawUs: 0 });
  bench.dialUs = 400_000_000;
  bench.give(k0);
  bench.pass(401_000_000);
  const [listening] = bench.reports('state');
  t.like(listening, { to: 'Listening' });
  bench.pass(299_000_000);
  t.is(bench.machine.state, 'Listening');
  bench.pass(2_000_000);
  t.like(bench.reports('state').at(-1), { to: 'Idle', atUs: listening!.atUs + 300_000_000 });
});

test('without Q6 a connection that is lost in Waiting is noticed when the board would listen', (t) => {
  const bench = new Bench({ redrawUs: 0 }, { ...diy, quirksOff: ['Q6', 'Q41'] }).reach('Waiting');
  bench.give({ type: 'linkDown', connection: 1 });
  bench.pass(1_000_000);
  t.is(bench.machine.state, 'Waiting');
  bench.pass(30_000_000);
  t.like(bench.reports('state').slice(-2), [
    { to: 'Listening', cause: 'no answer' },
    { to: 'Idle', cause: 'connection lost' },
  ]);
});

test('without Q25 what was heard during the hello is forgotten, and a key that waited for room is not', (t) => {
  const bench = new Bench({ redrawUs: 0 }, { ...diy, quirksOff: ['Q25'] });
  bench.hello = undefined;
  bench.give(k0);
  bench.pass(1);
  while (bench.mic(1)[0] === true);
  bench.give({ type: 'key', key: 'volume-up', press: 'short' });
  bench.give({ type: 'helloPlayed' });
  bench.pass(1);
  t.like(bench.reports('uploadDiscarded'), [{ samples: 64 * 512, cause: 'hello' }]);
  t.is(bench.reports('volume').length, 1);
});
