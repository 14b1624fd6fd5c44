import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import type { DeviceEvent, DeviceState } from '../device/device-event.ts';
import type { EmulatedDevice } from '../device/emulated-device.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import { emulatedBoard } from './board-in-hand.ts';
import { scenarioOf } from './recorded-conversation.contract.ts';
import { ScriptedUser } from './scripted-user.ts';

test('after a restart the user waits for the board, presses K0 and goes on with the next turn', async (t) => {
  const clock = new SimulatedClock();
  const records: UnnumberedEvent[] = [];
  const pressed: number[] = [];
  let state: DeviceState = 'Idle';
  let heard = 0;
  const report = (event: DeviceEvent): void => user.hearOf(event);
  const become = (to: DeviceState): void => {
    const from = state;
    state = to;
    report({ type: 'state', atUs: clock.nowUs(), from, to, cause: 'planted' });
  };
  /** Restarts in the first turn, 5 s long, and answers in the second. */
  const device: EmulatedDevice = {
    boot: () => Promise.resolve(),
    press: () => {
      pressed.push(clock.nowUs());
      become('Listening');
    },
    holdK0: () => ({ release: () => {} }),
    setUp: () => {},
    fail: () => {},
    hear: () => {
      heard += 1;
      const first = heard === 1;
      clock.after(1_000_000, () => {
        const atUs = clock.nowUs();
        if (!first) {
          report({ type: 'startChat', atUs });
          report({ type: 'frameHandled', atUs, connection: 3, frame: 1, event: 'EndResponse' });
          return;
        }
        state = 'Idle';
        report({ type: 'reboot', atUs, cause: 'planted' });
        clock.after(5_000_000, () =>
          report({
            type: 'boot',
            atUs: clock.nowUs(),
            profile: 'diy',
            firmware: '0.3.2',
            deviceId: '000000000000',
            speakerStartUs: clock.nowUs(),
          }),
        );
      });
    },
    get state() {
      return state;
    },
    bufferedSamples: () => 0,
    played: () => new Int16Array(0),
    speaker: () => ({ samples: new Int16Array(0), startUs: 0 }),
    close: () => Promise.resolve(),
  };
  const turn = '[[turn]]\nsay = "Hi."\nreply = "Hello."\n';
  const user = new ScriptedUser({
    scenario: scenarioOf('restart', turn + turn),
    clock,
    board: emulatedBoard(device, clock),
    network: { disturb: () => {}, change: () => {} },
    networkName: 'ideal',
    faults: { beginTurn: () => {}, strike: () => {}, endTurn: () => {} },
    clip: () => new Int16Array(1600).fill(3000),
    recordClip: () => 0,
    record: (event) => records.push(event),
  });
  await clock.run(user.converse(new AbortController().signal));

  const ends = records.flatMap((event) =>
    event.type === 'turnEnd' && 'outcome' in event ? [event.outcome] : [],
  );
  t.deepEqual(ends, ['reboot', 'finished']);
  // At the beginning, and when the board runs again: 0.3 s pause, 1 s until the restart, 5 s of it.
  t.deepEqual(pressed, [0, 6_300_000]);
  t.is(heard, 2);
});

test('the end of an older answer is not the end of the user’s own, and a board that is stuck with a rest of words is given K0', async (t) => {
  const clock = new SimulatedClock();
  const records: UnnumberedEvent[] = [];
  const pressed: number[] = [];
  let state: DeviceState = 'Idle';
  let heard = 0;
  let frame = 0;
  const become = (to: DeviceState, cause: string): void => {
    const from = state;
    state = to;
    user.hearOf({ type: 'state', atUs: clock.nowUs(), from, to, cause });
  };
  const states: Record<string, DeviceState> = {
    EndVad: 'Waiting',
    StartAudio: 'Speaking',
    EndResponse: 'Listening',
  };
  const startChat = (): void => user.hearOf({ type: 'startChat', atUs: clock.nowUs() });
  const take = (event: string): void => {
    const taken = { atUs: clock.nowUs(), connection: 1, frame: ++frame, event };
    user.hearOf({ type: 'frameReceived', ...taken, bytes: 9 });
    user.hearOf({ type: 'frameHandled', ...taken });
    become(states[event]!, event);
  };
  /** Answers its first words slowly, is deaf to the second and submits a rest of them, and answers the third. */
  const device: EmulatedDevice = {
    boot: () => Promise.resolve(),
    press: () => {
      pressed.push(clock.nowUs());
      become(state === 'Listening' ? 'Idle' : 'Listening', 'k0');
    },
    holdK0: () => ({ release: () => {} }),
    setUp: () => {},
    fail: () => {},
    hear: () => {
      heard += 1;
      if (heard === 1) {
        startChat();
        clock.after(1_000_000, () => take('EndVad'));
        clock.after(1_500_000, () => take('StartAudio'));
        clock.after(4_000_000, () => take('EndResponse'));
        clock.after(4_100_000, startChat);
      }
      if (heard === 3) {
        startChat();
        clock.after(2_000_000, () => take('EndResponse'));
      }
    },
    get state() {
      return state;
    },
    bufferedSamples: () => 0,
    played: () => new Int16Array(0),
    speaker: () => ({ samples: new Int16Array(0), startUs: 0 }),
    close: () => Promise.resolve(),
  };
  const turn = '[[turn]]\nsay = "Hi."\nreply = "Hello."\n';
  const over = `${turn}after = { event = "StartAudio" }\ntimeout_ms = 20000\n`;
  const user = new ScriptedUser({
    scenario: scenarioOf(
      'stuck',
      `${turn}${over}${turn}recover = true\n[device]\nallow_interrupt = false\n`,
    ),
    clock,
    board: emulatedBoard(device, clock),
    network: { disturb: () => {}, change: () => {} },
    networkName: 'ideal',
    faults: { beginTurn: () => {}, strike: () => {}, endTurn: () => {} },
    clip: () => new Int16Array(1600).fill(3000),
    recordClip: () => 0,
    record: (event) => records.push(event),
  });
  await clock.run(user.converse(new AbortController().signal));

  const ends = records.flatMap((event) =>
    event.type === 'turnEnd' && 'outcome' in event ? [[event.turn, event.outcome]] : [],
  );
  t.deepEqual(ends, [
    [1, 'interrupted'],
    [2, 'timeout'],
    [3, 'finished'],
  ]);
  // At the beginning; then to Idle, when 20 s behind the words of 0.1 s nothing has come, and out of it 30 s later.
  t.deepEqual(pressed, [0, 21_900_000, 51_900_000]);
});
