/**
 * The emulated board in the part of the real one: what the shadow says of it is compared with what it says of
 * itself. Between them are the taps that a real board has, and nothing else.
 */
import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import { diy } from '../device/device-profile.ts';
import { createEmulatedDevice } from '../device/emulated-device.ts';
import type { LinkProfile } from '../network/link.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { networkProfiles } from '../network/network-profile.ts';
import { loadOpus } from '../opus/opus-codec.ts';
import { createRandom } from '../random/random.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { plantedSpeech, tone } from '../server/planted-speech.contract.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { loadVoiceDetection } from '../voice-detection/voice-detection.ts';
import { ShadowBoard } from './shadow-board.ts';
import { ConnectionTap } from './tapped-connection.ts';

const opus = await loadOpus();
const voiceDetection = await loadVoiceDetection();
const endpoint = { host: 'server.test', port: 8080 };
const deviceId = '02ec0e000001';

interface Scene {
  readonly clock: SimulatedClock;
  press(press?: 'short' | 'long'): void;
  speak(): void;
  drop(): void;
  /** From the instant at which the board waits for its answer. */
  stallAnswer(durationUs: number): void;
  /** Another board calls at our server. */
  call(): Promise<void>;
}

interface Played {
  readonly real: DeviceEvent[];
  readonly shadow: DeviceEvent[];
  readonly realSpeaker: Int16Array;
  readonly shadowSpeaker: Int16Array;
  readonly foreign: string[];
}

/** @param console whether lines of the console tell the shadow of keys and restarts */
async function play(
  link: LinkProfile,
  console: boolean,
  scene: (scene: Scene) => Promise<void>,
): Promise<Played> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(7, 'network'));
  network.setLink(endpoint, link);
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech: plantedSpeech(clock, () => ({ samples: tone(440, 40_000), firstByteMs: 80 })),
    platform: 'planted',
    recognizer: scriptedRecognizer(() => 'Hello.', { clock, durationMs: 50 }),
    replies: scriptedReply(
      () => ({ text: 'One. Two is a longer one. Three.', firstTokenMs: 20, tokensPerSecond: 50 }),
      { clock },
    ),
    observe: () => {},
  });
  const real: DeviceEvent[] = [];
  const shadow: DeviceEvent[] = [];
  const foreign: string[] = [];
  let stallUs = 0;
  const shared = { profile: diy, deviceId, serverUrl: 'ws://server.test:8080/ws/', clock, opus };
  const follower = new ShadowBoard({
    ...shared,
    voiceDetection,
    random: createRandom(1, 'shadow'),
    observe: (event) => shadow.push(event),
  });
  const tap = new ConnectionTap(
    clock,
    {
      connected: (connection) => follower.connected(connection),
      startChat: (connection) => follower.startChat(connection),
      audio: (connection, samples) => follower.audio(connection, samples),
      closing: (connection) => follower.closing(connection),
      ended: () => {},
      foreign: (id) => foreign.push(id),
    },
    deviceId,
  );
  await network.listen(endpoint, (stream) => server.accept(tap.attach(stream)));
  const device = createEmulatedDevice({
    ...shared,
    voiceDetection,
    dialer: network,
    random: createRandom(1, 'device'),
    observe: (event) => {
      real.push(event);
      if (event.type === 'state' && event.to === 'Waiting' && stallUs > 0) {
        tap.disturb({ kind: 'stall', direction: 'down', durationUs: stallUs });
      }
      if (!console) return;
      if (event.type === 'reboot') follower.restarted(event.cause);
      if (event.type !== 'log') return;
      if (event.message === 'Received event: k0') follower.keyTaken();
      const allowed = /^Set allow_interrupt to (true|false)$/.exec(event.message)?.[1];
      if (allowed !== undefined) follower.interruptSet(allowed === 'true');
    },
  });
  const booted = follower.boot();
  await clock.run(
    (async () => {
      await device.boot();
      await booted;
      await scene({
        clock,
        press: (press = 'short') => device.press('k0', press),
        speak: () => device.hear(speechLike(1.2)),
        drop: () => tap.disturb({ kind: 'drop' }),
        stallAnswer: (durationUs) => {
          stallUs = durationUs;
        },
        call: async () => {
          const stranger = createEmulatedDevice({
            ...shared,
            deviceId: 'aaaaaaaaaaaa',
            voiceDetection,
            dialer: network,
            random: createRandom(1, 'stranger'),
            observe: () => {},
          });
          await stranger.boot().catch(() => {});
          await stranger.close();
        },
      });
      await device.close();
      await follower.close();
    })(),
  );
  return {
    real,
    shadow,
    realSpeaker: device.speaker().samples,
    shadowSpeaker: follower.speaker(),
    foreign,
  };
}

type Kind = DeviceEvent['type'];
const playout: readonly Kind[] = ['playStart', 'underrunStart', 'underrunEnd', 'drained'];
const told: readonly Kind[] = ['state', 'startChat', 'upload', 'connected', ...playout];

/** What is said, without the instant. */
function story(events: readonly DeviceEvent[], kinds: readonly Kind[] = told): string[] {
  return events
    .filter(({ type }) => kinds.includes(type))
    .map(({ atUs: _, ...event }) => {
      // Positions count from the boot, which the shadow sees when the connection is there.
      const { position: _position, ...rest } = event as { position?: number };
      return JSON.stringify(rest);
    });
}

/** How much later the shadow's like events are, in ms. */
function delaysMs({ real, shadow }: Played, kinds: readonly Kind[]): number[] {
  const pick = (events: readonly DeviceEvent[]) =>
    events.filter(({ type }) => kinds.includes(type));
  const ours = pick(shadow);
  return pick(real).map(({ atUs }, i) => (ours[i]!.atUs - atUs) / 1000);
}

async function oneTurn({ clock, press, speak }: Scene): Promise<void> {
  press();
  await clock.sleep(2_000_000);
  speak();
  await clock.sleep(15_000_000);
}

test('over an ideal link the shadow tells the same story, and every playout within one player cycle', async (t) => {
  const played = await play(networkProfiles['ideal']!.link, true, oneTurn);
  t.deepEqual(story(played.shadow), story(played.real));
  t.is(played.real.filter(({ type }) => type === 'drained').length, 3);
  for (const delay of delaysMs(played, playout)) t.true(Math.abs(delay) <= 16, `${delay} ms`);
});

test('over Wi-Fi the shadow is early by what the air takes, and not more', async (t) => {
  const played = await play(networkProfiles['good-wifi']!.link, true, oneTurn);
  const states: readonly Kind[] = ['state', 'startChat', 'connected', 'playStart', 'drained'];
  t.deepEqual(story(played.shadow, states), story(played.real, states));
  for (const delay of delaysMs(played, playout)) {
    t.true(delay <= 16 && delay >= -100, `${delay} ms`);
  }
});

test('what the speaker plays is the same sound', async (t) => {
  const { realSpeaker, shadowSpeaker } = await play(networkProfiles['ideal']!.link, true, oneTurn);
  const sound = (samples: Int16Array) => samples.filter((sample) => sample !== 0);
  t.true(realSpeaker.length > 16_000 * 15);
  t.deepEqual(sound(shadowSpeaker), sound(realSpeaker));
});

test('without a console the shadow sees keys in the traffic: it connects, it ends the session', async (t) => {
  const played = await play(networkProfiles['ideal']!.link, false, async (scene) => {
    await oneTurn(scene);
    scene.press();
    await scene.clock.sleep(2_000_000);
    scene.press();
    await scene.clock.sleep(3_000_000);
  });
  // The K0 that connects is seen when it has connected: the old connection is gone by then.
  const states: readonly Kind[] = ['state', 'startChat', 'connected', 'drained'];
  t.deepEqual(story(played.shadow, states), story(played.real, states));
  for (const delay of delaysMs(played, ['playStart', 'drained'])) {
    t.true(Math.abs(delay) <= 16, `${delay} ms`);
  }
});

test('speech over an answer interrupts the shadow, too', async (t) => {
  const played = await play(networkProfiles['ideal']!.link, true, async (scene) => {
    scene.press('long');
    await scene.clock.sleep(1_500_000);
    scene.press();
    await scene.clock.sleep(2_000_000);
    scene.speak();
    await scene.clock.sleep(5_000_000);
    scene.speak();
    await scene.clock.sleep(15_000_000);
  });
  const interruptions = (events: readonly DeviceEvent[]) =>
    events.filter((event) => event.type === 'state' && event.cause === 'barge-in').length;
  t.is(interruptions(played.real), 1);
  t.deepEqual(story(played.shadow, ['state']), story(played.real, ['state']));
  t.deepEqual(
    story(played.shadow, ['connected', 'drained']),
    story(played.real, ['connected', 'drained']),
  );
});

for (const console of [true, false]) {
  test(`a restart in mid conversation is followed ${console ? 'from the console' : 'from the traffic alone'}`, async (t) => {
    const played = await play(networkProfiles['ideal']!.link, console, async (scene) => {
      scene.press();
      await scene.clock.sleep(2_000_000);
      scene.drop();
      // The board notices when it sends.
      scene.speak();
      await scene.clock.sleep(10_000_000);
      await oneTurn(scene);
    });
    t.is(played.real.filter(({ type }) => type === 'reboot').length, 1);
    t.is(played.shadow.filter(({ type }) => type === 'reboot').length, 1);
    const after = ({ type }: DeviceEvent) => type === 'boot';
    const last = (events: readonly DeviceEvent[]) => events.slice(events.findLastIndex(after));
    t.deepEqual(story(last(played.shadow)), story(last(played.real)));
    t.deepEqual(
      played.shadow
        .filter(({ type }) => type === 'connected')
        .map((event) => 'connection' in event && event.connection),
      [1, 2, 3, 4],
    );
  });
}

test('a stall at our end holds back board and shadow alike', async (t) => {
  const played = await play(networkProfiles['ideal']!.link, true, async (scene) => {
    scene.stallAnswer(3_000_000);
    await oneTurn(scene);
  });
  const at = (test: (event: DeviceEvent) => boolean) => played.real.find(test)!.atUs;
  const waited =
    at(({ type }) => type === 'playStart') -
    at((event) => event.type === 'state' && event.to === 'Waiting');
  t.true(waited >= 3_000_000, `${waited} µs`);
  t.deepEqual(story(played.shadow), story(played.real));
  for (const delay of delaysMs(played, playout)) t.true(Math.abs(delay) <= 16, `${delay} ms`);
});

test('another board is sent away and disturbs nothing', async (t) => {
  const played = await play(networkProfiles['ideal']!.link, true, async (scene) => {
    scene.press();
    await scene.clock.sleep(2_000_000);
    await scene.call();
    scene.speak();
    await scene.clock.sleep(15_000_000);
  });
  t.deepEqual(played.foreign, ['aaaaaaaaaaaa']);
  t.deepEqual(story(played.shadow), story(played.real));
});
