/** What of this machine the program needs, and what it can do without. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FfmpegError, openFfmpeg } from '../audio-files/ffmpeg.ts';
import type { Clock } from '../clock/clock.ts';
import { endpointName } from '../network/laboratory-network.ts';
import type { Endpoint, Network } from '../network/network.ts';
import { NetworkError } from '../network/network-error.ts';
import type { CheckReport } from '../report/doctor-report.ts';
import { openLaboratory } from '../runner/laboratory.ts';

/** As `engines` in package.json. */
export const oldestNode = { major: 20, minor: 19 };

export interface Surroundings {
  /** Of Node, as `process.version`. */
  readonly nodeVersion: string;
  readonly cacheFolder: string;
  readonly ffmpegPath: string | undefined;
  readonly clock: Clock;
  readonly network: Network;
  /** Ports that commands listen on when nothing else is said, and which. */
  readonly ports: readonly { readonly command: string; readonly endpoints: readonly Endpoint[] }[];
  /** Loads a package that may be missing. */
  readonly load: (name: string) => Promise<unknown>;
  /** Proxies that the environment names. */
  readonly proxies: readonly string[];
}

export async function checkInstallation(around: Surroundings): Promise<CheckReport[]> {
  return [
    checkNode(around.nodeVersion),
    await checkVoice(around.clock),
    checkCache(around.cacheFolder),
    checkFfmpeg(around.ffmpegPath),
    await checkSerial(around.load),
    ...(await Promise.all(around.ports.map((ports) => checkPorts(around.network, ports)))),
    await checkClock(around.clock),
    ...checkProxies(around.proxies),
  ];
}

function checkNode(version: string): CheckReport {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const { major: oldest, minor: least } = oldestNode;
  const old = major < oldest || (major === oldest && minor < least);
  const wanted = `${oldest}.${least}`;
  return old
    ? {
        name: 'Node',
        status: 'fail',
        message: `${version} is too old: install ${wanted} or newer.`,
      }
    : { name: 'Node', status: 'ok', message: `${version} (${wanted} or newer)` };
}

async function checkVoice(clock: Clock): Promise<CheckReport> {
  const name = 'voice';
  try {
    const { voice } = await openLaboratory();
    const beganUs = clock.nowUs();
    const { samples } = voice.speak('How far is the moon?');
    const tookMs = Math.round((clock.nowUs() - beganUs) / 1000);
    const seconds = (samples.length / 16_000).toFixed(1);
    return { name, status: 'ok', message: `${seconds} s of offline speech made in ${tookMs} ms` };
  } catch (error) {
    return { name, status: 'fail', message: `${wordsOf(error)} Install the package again.` };
  }
}

function checkCache(folder: string): CheckReport {
  const name = 'cache';
  const probe = join(folder, `.doctor-${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(probe, '');
    rmSync(probe);
    return { name, status: 'ok', message: `${folder} can be written` };
  } catch (error) {
    const message = `${folder} cannot be written (${wordsOf(error)}), so speech is made anew each time. Name another folder with ECHOKIT_HARNESS_CACHE.`;
    return { name, status: 'note', message };
  }
}

function checkFfmpeg(path: string | undefined): CheckReport {
  const name = 'ffmpeg';
  try {
    const { version, path: program } = openFfmpeg(path);
    return {
      name,
      status: 'ok',
      message: `${version.replace(/^ffmpeg version /, '')} (${program})`,
    };
  } catch (error) {
    if (!(error instanceof FfmpegError)) throw error;
    const need = 'Only compressed audio of stand-ins needs it.';
    return { name, status: 'note', message: `${error.message} ${need}` };
  }
}

async function checkSerial(load: Surroundings['load']): Promise<CheckReport> {
  const name = 'serialport';
  try {
    await load('serialport');
    return { name, status: 'ok', message: 'boards on a serial port can be opened' };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const message = missing
      ? 'not installed; only boards on a serial port need it: npm install serialport'
      : `cannot be loaded (${wordsOf(error)}); only boards on a serial port need it`;
    return { name, status: 'note', message };
  }
}

async function checkPorts(
  network: Network,
  { command, endpoints }: Surroundings['ports'][number],
): Promise<CheckReport> {
  const taken: string[] = [];
  for (const endpoint of endpoints) {
    try {
      const listener = await network.listen(endpoint, (stream) => stream.destroy());
      await listener.close();
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      taken.push(endpointName(endpoint));
    }
  }
  const name = `port of ${command}`;
  const ports = endpoints.map(({ port }) => port);
  const range =
    ports.length === 1 ? `${ports[0]} is free` : `${ports[0]} to ${ports.at(-1)} are free`;
  return taken.length === 0
    ? { name, status: 'ok', message: range }
    : {
        name,
        status: 'note',
        message: `${taken.join(', ')} cannot be listened on: another program may be there. ${command} takes --port.`,
      };
}

/** Alarms to measure with, and how far apart: together half a second. */
const alarms = { count: 50, everyUs: 10_000 };
/** Later than this an alarm of 16 ms, the board's cycle, would be visible in figures. */
const latenessMaxMs = 5;

async function checkClock(clock: Clock): Promise<CheckReport> {
  const latenessUs: number[] = [];
  for (let i = 0; i < alarms.count; i++) {
    const dueUs = clock.nowUs() + alarms.everyUs;
    await clock.sleep(alarms.everyUs);
    latenessUs.push(clock.nowUs() - dueUs);
  }
  latenessUs.sort((a, b) => a - b);
  const ms = (us: number): string => (us / 1000).toFixed(2);
  const [p50, p95] = [latenessUs[24]!, latenessUs[47]!];
  const measured = `alarms are late by ${ms(p50)} ms (p50), ${ms(p95)} ms (p95), ${ms(latenessUs.at(-1)!)} ms (max); the clock has steps of ${stepUs(clock)} µs`;
  return p95 / 1000 <= latenessMaxMs
    ? { name: 'clock', status: 'ok', message: measured }
    : {
        name: 'clock',
        status: 'note',
        message: `${measured}. This machine is busy: figures in real time are late by as much, those in virtual time are not.`,
      };
}

/** The smallest step that the clock was seen to make. */
function stepUs(clock: Clock): number {
  let smallest = Number.POSITIVE_INFINITY;
  let before = clock.nowUs();
  for (let i = 0; i < 10_000; i++) {
    const now = clock.nowUs();
    if (now > before) smallest = Math.min(smallest, now - before);
    before = now;
  }
  return smallest === Number.POSITIVE_INFINITY ? 0 : smallest;
}

function checkProxies(names: readonly string[]): CheckReport[] {
  if (names.length === 0) return [];
  const message = `${names.join(', ')} is set: this program connects directly, not through a proxy.`;
  return [{ name: 'proxy', status: 'note', message }];
}

function wordsOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n')[0]!;
}
