/**
 * Whether a provider works: one very short synthesis through its real adapter, and if it fails, the one
 * thing that is wrong.
 */
import { type AdapterDeps, adapterFor, SpeechError } from '../../adapters/index.ts';
import { defaultAudibility, findAudible } from '../metrics/audibility.ts';
import { NetworkError, type NetworkErrorCode } from '../network/network-error.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import {
  type RequestBudget,
  type RequestCount,
  requestsFor,
  withinBudget,
} from './request-budget.ts';

/** What is spoken: as little as a service takes for a sentence. */
export const probeText = 'OK.';

/** What is wrong, in the words of whoever has to repair it. */
export type ProviderProblem =
  | 'key'
  | 'quota'
  | 'rate limit'
  | 'voice'
  | 'model'
  | 'request'
  | 'host name'
  | 'refused'
  | 'unreachable'
  | 'TLS'
  | 'connection'
  | 'timeout'
  | 'web page'
  | 'answer'
  | 'audio'
  | 'cut off'
  | 'service'
  | 'limit';

export type ProviderCheck =
  | {
      readonly outcome: 'ok';
      /** From the decision to ask until the connection could be used. */
      readonly connectMs: number;
      /** Request written → first byte of audio. */
      readonly ttfbMs: number;
      /** From the decision to ask until the last audio. */
      readonly totalMs: number;
      /** As the service sent it. */
      readonly sourceRateHz: number;
      readonly audioMs: number;
    }
  | {
      readonly outcome: 'failed';
      readonly problem: ProviderProblem;
      /** One line: what happened and what to try. No secret of the provider occurs in it. */
      readonly message: string;
    };

export interface ProviderCheckOptions {
  readonly deps: AdapterDeps;
  readonly budget: RequestBudget;
  /** Gives the check up; it then rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** What a check takes. */
export function probeNeeds({ tts }: ProviderEntry): RequestCount {
  return requestsFor(adapterFor(tts).capabilities(tts.config), [probeText]);
}

export async function checkProvider(
  { tts }: ProviderEntry,
  { deps, budget, signal }: ProviderCheckOptions,
): Promise<ProviderCheck> {
  const session = withinBudget(adapterFor(tts).open(tts.config, deps), budget);
  const mask = new SecretMask(tts.secrets);
  try {
    return await probe(session.speak(once(probeText), signal));
  } catch (error) {
    if (signal.aborted || !(error instanceof SpeechError)) throw error;
    const { problem, message } = diagnose(error);
    return { outcome: 'failed', problem, message: oneLine(mask.text(message)) };
  } finally {
    await session.close();
  }
}

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

async function probe(
  events: ReturnType<ReturnType<typeof withinBudget>['speak']>,
): Promise<ProviderCheck> {
  const blocks: Int16Array[] = [];
  let request: { atUs: number; decidedUs: number; connectedUs: number } | undefined;
  let firstAudioUs: number | undefined;
  let lastAudioUs = 0;
  let sourceRateHz = 0;
  for await (const event of events) {
    if (event.type === 'request') request ??= event;
    if (event.type !== 'audio') continue;
    blocks.push(event.samples);
    if (event.sourceBytes > 0) {
      firstAudioUs ??= event.atUs;
      lastAudioUs = event.atUs;
    }
    sourceRateHz = event.sourceRateHz;
  }
  const samples = joined(blocks);
  const wrong = wrongAudio(samples);
  if (wrong !== undefined) return { outcome: 'failed', problem: 'audio', message: wrong };
  const { atUs, decidedUs, connectedUs } = request!;
  return {
    outcome: 'ok',
    connectMs: (connectedUs - decidedUs) / 1000,
    ttfbMs: (firstAudioUs! - atUs) / 1000,
    totalMs: (lastAudioUs - decidedUs) / 1000,
    sourceRateHz,
    audioMs: samples.length / 16,
  };
}

function joined(blocks: readonly Int16Array[]): Int16Array {
  const all = new Int16Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    all.set(block, at);
    at += block.length;
  }
  return all;
}

/** "OK." takes half a second; anything near these limits is something else. */
const audibleMs = { least: 60, most: 10_000 };
/** Speech changes its sign in less than a quarter of its samples, noise in every other one. */
const noise = { signChanges: 0.35, dbfs: -15 };

/** What is wrong with audio that arrived in order; nothing when it may be speech. */
function wrongAudio(samples: Int16Array): string | undefined {
  const audible = findAudible(samples);
  const ms = (count: number): string => `${Math.round(count / 16)} ms`;
  if (audible === null) {
    return `${ms(samples.length)} of audio came, and nothing in it is above ${defaultAudibility.thresholdDbfs} dBFS. Check the voice.`;
  }
  const length = audible.last - audible.first + 1;
  if (length / 16 < audibleMs.least || length / 16 > audibleMs.most) {
    return `"${probeText}" took ${ms(length)} to say: that is not the text, or not the sample rate it was sent with. Listen to a recording of a run.`;
  }
  let power = 0;
  let changes = 0;
  for (let i = audible.first; i <= audible.last; i++) {
    power += samples[i]! ** 2;
    if (i > audible.first && samples[i]! < 0 !== samples[i - 1]! < 0) changes++;
  }
  const dbfs = 10 * Math.log10(power / length / 32768 ** 2);
  if (changes / length > noise.signChanges && dbfs > noise.dbfs) {
    return `The audio is noise at ${dbfs.toFixed(0)} dBFS: compressed audio, or bytes in another order, taken for samples. Check the format the service sends.`;
  }
  return undefined;
}

const networkProblems: Readonly<Partial<Record<NetworkErrorCode, ProviderProblem>>> = {
  NETWORK_NOT_FOUND: 'host name',
  NETWORK_REFUSED: 'refused',
  NETWORK_UNREACHABLE: 'unreachable',
  NETWORK_TLS: 'TLS',
};

function diagnose(error: SpeechError): { problem: ProviderProblem; message: string } {
  const { kind, message, cause, retryAfterMs } = error;
  if (cause instanceof NetworkError) {
    const problem = networkProblems[cause.code] ?? 'connection';
    return { problem, message: `${cause.message} ${cause.hint}` };
  }
  switch (kind) {
    case 'auth':
      return { problem: 'key', message };
    case 'bad-voice':
      return { problem: 'voice', message };
    case 'rate-limit': {
      const wait = retryAfterMs === undefined ? 'later' : `in ${seconds(retryAfterMs)}`;
      return { problem: 'rate limit', message: `${message} Try again ${wait}.` };
    }
    case 'bad-request':
      return { problem: aboutModel(error) ? 'model' : 'request', message };
    case 'too-long':
      return { problem: 'request', message };
    case 'network':
      return { problem: 'connection', message };
    case 'protocol':
      return { problem: /\btext\/html\b|<html/i.test(message) ? 'web page' : 'answer', message };
    case 'empty':
      return { problem: 'audio', message };
    case 'truncated':
      return { problem: 'cut off', message };
    case 'server':
      return { problem: 'service', message };
    case 'budget':
      return { problem: 'limit', message };
    case 'quota':
    case 'timeout':
      return { problem: kind, message };
  }
}

/** The provider's code says it, or its words do; our own advice behind them names the model, too. */
function aboutModel({ providerCode = '', message }: SpeechError): boolean {
  const words = message.replace(/ Check .*$/, '');
  return /model/i.test(providerCode) || /\bmodel\b/i.test(words);
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${ms / 1000} s` : `${Math.ceil(ms / 1000)} s`;
}

/** Providers explain themselves at length. */
const lineCharactersMax = 240;

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= lineCharactersMax ? line : `${line.slice(0, lineCharactersMax - 1)}…`;
}
