import type { Duplex } from 'node:stream';
import { ConfigError } from '../../adapters/index.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import type { Endpoint } from '../network/network.ts';
import type { Personality } from '../stand-ins/personality.ts';
import {
  createDialogueStandIn,
  createStandIn,
  type ServiceStandIn,
  type StandInOptions,
} from '../stand-ins/stand-in.ts';
import type { ProviderEntry } from './provider-catalog.ts';

/** The stand-ins of everything that one provider's adapter calls. */
export interface ProviderStandIns {
  /** Of the one that speaks. */
  readonly personality: Personality;
  close(): Promise<void>;
}

/**
 * Makes the stand-ins of a provider answer for its endpoints, each over a link that takes as long to
 * connect as its service does. The changes of a scenario are for the speech.
 *
 * @param edited what the speaking stand-in gets in the place of a connection that was made to it
 */
export async function impersonateProvider(
  provider: ProviderEntry,
  network: LaboratoryNetwork,
  options: Omit<StandInOptions, 'platform'>,
  edited: (stream: Duplex) => Duplex = (stream) => stream,
): Promise<ProviderStandIns> {
  const { clock, random } = options;
  for (const { purpose, endpoint } of provider.otherServices) {
    if (sameEndpoint(endpoint, provider.endpoint)) throw sharedEndpoint(purpose, endpoint);
  }
  const closing: (() => Promise<void>)[] = [];
  const impersonate = async (
    endpoint: Endpoint,
    standIn: ServiceStandIn,
    edit: (stream: Duplex) => Duplex = (stream) => stream,
  ): Promise<void> => {
    const connectUs = standIn.connectMs * 1000;
    network.setLink(endpoint, { latencyUs: 0, jitterUs: 0, connectUs });
    const accept = (stream: Duplex): void => standIn.accept(edit(stream));
    const listener = await network.impersonate(endpoint, accept);
    closing.push(
      () => standIn.close(),
      () => listener.close(),
    );
  };
  const speaking = createStandIn({ ...options, platform: provider.tts.platform });
  await impersonate(provider.endpoint, speaking, edited);
  for (const { purpose, endpoint } of provider.otherServices) {
    const own = { clock, random: random.fork(purpose) };
    await impersonate(endpoint, createDialogueStandIn(purpose, own));
  }
  return {
    personality: speaking.personality,
    close: async () => {
      for (const close of closing) await close();
    },
  };
}

function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port;
}

function sharedEndpoint(purpose: string, { host, port }: Endpoint): ConfigError {
  return new ConfigError([
    {
      code: 'CONFIG_BAD_VALUE',
      path: ['url'],
      keyPath: 'tts.url',
      message: `tts.url and the URL for ${purpose} both lead to ${host}:${port}, where only one stand-in can answer`,
      hint: 'give one of them another port for runs with stand-ins',
    },
  ]);
}
