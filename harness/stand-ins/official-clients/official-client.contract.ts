/** What the tests with the providers' own client libraries share. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { Clock } from '../../clock/clock.ts';
import { SystemClock } from '../../clock/system-clock.ts';
import { SocketNetwork } from '../../network/socket-network.ts';
import { createRandom, type Random } from '../../random/random.ts';
import { bytesOf } from '../clip-cache.ts';
import { ClipEncoder } from '../clip-encoder.ts';
import {
  createDialogueStandIn,
  createStandIn,
  type DialogueOptions,
  type DialogueService,
  type ServiceStandIn,
  type StandIn,
  type StandInOptions,
} from '../stand-in.ts';
import { exactProfile, sharedVoice } from '../test-client.ts';
import type { TimingProfile } from '../timing-profile.ts';

/**
 * Declares the tests of `declare`, or one that is skipped and says why: the libraries are a package
 * of their own, which `npm install` at the top does not install.
 */
export async function withOfficialClient(
  name: string,
  declare: () => Promise<unknown>,
): Promise<void> {
  const folder = fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));
  if (existsSync(folder)) await declare();
  else {
    test.skip(`${name} is not installed: npm install in harness/stand-ins/official-clients`, (t) => {
      t.fail();
    });
  }
}

/** At once: what is measured here is no latency, and no test shall wait. */
export const atOnce: TimingProfile = exactProfile({
  firstByteMs: { p50: 0, p95: 0 },
  cadenceMs: [{ minimum: 0, maximum: 0 }],
  firstChunkSeconds: 0.1,
  nextChunkSeconds: [{ minimum: 0.1, maximum: 0.1 }],
});

/** Chunks of 0.1 s of audio, one every 30 ms. */
export const piecemeal: TimingProfile = {
  ...atOnce,
  cadenceMs: [{ minimum: 30, maximum: 30 }],
};

export interface Served<S extends ServiceStandIn = StandIn> {
  readonly standIn: S;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly clock: Clock;
  /** Refuses connections from now on. */
  close(): Promise<void>;
}

/** A stand-in for speech on a real loopback socket, in real time, until the end of the test. */
export async function serve(
  t: ExecutionContext,
  platform: string,
  options: Partial<StandInOptions> = {},
): Promise<Served> {
  const voice = await sharedVoice();
  const fixed = { platform, voice, encoder: new ClipEncoder(), profile: atOnce };
  return listen(t, (clock, random) => createStandIn({ ...fixed, clock, random, ...options }));
}

/** The same for a service beside speech. */
export function serveDialogue(
  t: ExecutionContext,
  service: DialogueService,
  options: Partial<DialogueOptions> = {},
): Promise<Served<ServiceStandIn>> {
  return listen(t, (clock, random) =>
    createDialogueStandIn(service, { clock, random, ...options }),
  );
}

async function listen<S extends ServiceStandIn>(
  t: ExecutionContext,
  create: (clock: Clock, random: Random) => S,
): Promise<Served<S>> {
  const clock = new SystemClock();
  const random = createRandom(1, 'official-client');
  const standIn = create(clock, random.fork('stand-in'));
  const network = new SocketNetwork({ clock, random, outside: [] });
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
    standIn.accept(stream),
  );
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= Promise.all([standIn.close(), listener.close()]).then(() => {});
    return closed;
  };
  t.teardown(close);
  return { standIn, url: `http://127.0.0.1:${listener.endpoint.port}`, clock, close };
}

/** What the offline voice says, s16le: the truth that every client has to arrive at. */
export async function spoken(text: string, voice: string, rateHz: number): Promise<Buffer> {
  return bytesOf((await sharedVoice()).speakAt(text, voice, rateHz).samples);
}

export interface Read {
  readonly bytes: Buffer;
  /** Instants at which pieces were read. */
  readonly atUs: readonly number[];
}

/** Reads a body as its user would, piece by piece. */
export async function readPieces(
  clock: Clock,
  body: AsyncIterable<Uint8Array> | null,
): Promise<Read> {
  const pieces: Uint8Array[] = [];
  const atUs: number[] = [];
  for await (const piece of body ?? []) {
    pieces.push(piece);
    atUs.push(clock.nowUs());
  }
  return { bytes: Buffer.concat(pieces), atUs };
}

/** What a call fails with. */
export async function failureOf(call: PromiseLike<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error('The call succeeded.');
}
