import { existsSync } from 'node:fs';
import { SystemClock } from '../clock/system-clock.ts';
import type { CaseResult, ConformanceCase } from '../conformance/conformance-case.ts';
import { chosenCases, familyOf } from '../conformance/conformance-case.ts';
import {
  buildConformanceReport,
  type ConformanceReport,
} from '../conformance/conformance-report.ts';
import { serverLimitDefaults } from '../conformance/server-stage.ts';
import { runServerSuite, serverCases } from '../conformance/server-suite.ts';
import { findAudible } from '../metrics/audibility.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { renderConformanceSummary, renderFamily } from '../report/conformance-text.ts';
import { readUserWav } from '../scenario/user-wav.ts';
import type { OfflineVoice } from '../stand-ins/offline-voice.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ConformOptions {
  readonly only: readonly string[];
  readonly list?: boolean;
  readonly json?: boolean;
}

export interface ConformServerOptions extends ConformOptions {
  /** Seconds for the answer to one question. */
  readonly timeout: number;
  /** Seconds a board is silent in the cases about patience. */
  readonly idle: number;
  readonly say: string;
}

/** `conform server`: the conformance suite of servers, in real time, against any URL. */
export async function conformServerCommand(
  terminal: Terminal,
  url: string | undefined,
  options: ConformServerOptions,
): Promise<number> {
  const cases = casesFor(serverCases, options.only);
  if (options.list === true) return listCases(terminal, cases, options);
  const address = serverAddress(url);
  const clock = new SystemClock();
  const random = createRandom(1, 'conformance');
  const network = new SocketNetwork({
    clock,
    random: random.fork('network'),
    outside: [{ host: address.host, port: address.port }],
  });
  // Before anything is said about a server: is there one?
  (await network.dial({ ...address, secure: false })).destroy();
  const { opus, voice } = await openCommandLaboratory(terminal);
  const speech = spokenClip(options.say, voice);
  const signal = interruptSignal(terminal, 'stopping before the next case.');
  const show = familyPrinter(terminal, options, cases);
  const results = await runServerSuite(
    {
      clock,
      dialer: network,
      random,
      address,
      limits: {
        ...serverLimitDefaults,
        answerMs: options.timeout * 1000,
        idleMs: options.idle * 1000,
      },
      speech,
      text: isWav(options.say) ? 'How far away is the moon?' : options.say,
      createDecoder: () => opus.createDecoder(),
    },
    { cases, signal, onResult: show.result },
  );
  show.finish();
  return finishConformance(
    terminal,
    buildConformanceReport('server', url!, cases.length, results),
    options,
    signal,
  );
}

/** @throws {CommandError} when nothing is called so */
export function casesFor<Stage>(
  all: readonly ConformanceCase<Stage>[],
  only: readonly string[],
): ConformanceCase<Stage>[] {
  const unknown = only.find((name) => chosenCases(all, [name]).length === 0);
  if (unknown === undefined) return chosenCases(all, only);
  const families = [...new Set(all.map(familyOf))].join(', ');
  throw new CommandError(
    'CONFORMANCE_CASE_UNKNOWN',
    exitCode.usage,
    `There is no case and no family "${unknown}".`,
    `families: ${families}; --list shows every case`,
  );
}

export function listCases(
  terminal: Terminal,
  cases: readonly Pick<CaseResult, 'id' | 'clause' | 'title'>[],
  { json }: ConformOptions,
): number {
  if (json === true) {
    const shown = cases.map(({ id, clause, title }) => ({ id, clause, title }));
    terminal.print(JSON.stringify(shown, null, 2));
    return exitCode.passed;
  }
  const width = Math.max(...cases.map(({ id }) => id.length));
  for (const { id, clause, title } of cases) {
    terminal.print(`${id.padEnd(width)}  ${clause.padEnd(7)}  ${title}`);
  }
  terminal.say(`${cases.length} cases in ${new Set(cases.map(familyOf)).size} families.`);
  return exitCode.passed;
}

/** Prints each family as soon as its last case has been played. */
export function familyPrinter(
  terminal: Terminal,
  { json }: ConformOptions,
  cases: readonly { readonly id: string }[],
): { result(result: CaseResult): void; finish(): void } {
  const open = new Map<string, CaseResult[]>();
  const total = new Map<string, number>();
  for (const each of cases) total.set(familyOf(each), (total.get(familyOf(each)) ?? 0) + 1);
  const print = (family: string): void => {
    const text = renderFamily(family, open.get(family)!, terminal);
    if (json === true) terminal.say(text);
    else terminal.print(text);
    open.delete(family);
  };
  return {
    result(result) {
      const family = familyOf(result);
      const results = [...(open.get(family) ?? []), result];
      open.set(family, results);
      if (results.length === total.get(family)) print(family);
    },
    finish() {
      for (const family of [...open.keys()]) print(family);
    },
  };
}

export function finishConformance(
  terminal: Terminal,
  report: ConformanceReport,
  { json }: ConformOptions,
  signal: AbortSignal,
): number {
  if (json === true) terminal.print(JSON.stringify(report, null, 2));
  else terminal.print(renderConformanceSummary(report, terminal));
  if (signal.aborted) return exitCode.interrupted;
  return report.counts.fail > 0 ? exitCode.expectationFailed : exitCode.passed;
}

function serverAddress(url: string | undefined) {
  const parsed = url !== undefined && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'ws:' || parsed.search !== '') {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      url === undefined
        ? 'The URL of a server is missing.'
        : `"${url}" is not a URL a board can use.`,
      'name it as it is stored on a board: ws://host:port/ws/, without a query',
    );
  }
  const { pathname, host } = parsed;
  const basePath = pathname.endsWith('/') ? pathname : `${pathname}/`;
  return { ...endpointOfUrl(parsed), basePath, authority: host };
}

const isWav = (say: string): boolean => /\.wav$/i.test(say);

/**
 * What the user says, from a WAV file or spoken by the offline voice, without the silence around it, which
 * would be taken for the end of speech.
 */
export function spokenClip(say: string, voice: OfflineVoice): Int16Array {
  if (isWav(say) && !existsSync(say)) {
    throw new CommandError('USAGE', exitCode.usage, `There is no file ${say}.`);
  }
  const clip = isWav(say) ? readUserWav(say) : voice.speak(say, 'rms').samples;
  const audible = findAudible(clip);
  return audible === null ? clip : clip.slice(audible.first, audible.last + 1);
}
