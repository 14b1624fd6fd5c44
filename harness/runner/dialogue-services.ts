import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import type { Random } from '../random/random.ts';
import type { Scenario, Turn } from '../scenario/scenario.ts';
import type { LiveRecognizer } from '../server/live-recognizer.ts';
import { chatReplies, responsesReplies } from '../server/model-replies.ts';
import { paraformerRecognizer } from '../server/paraformer-recognizer.ts';
import { type Recognizer, scriptedRecognizer } from '../server/recognizer.ts';
import { type ReplySource, scriptedReply } from '../server/reply-source.ts';
import { whisperRecognizer } from '../server/whisper-recognizer.ts';
import { createDialogueStandIn } from '../stand-ins/stand-in.ts';

/** What the server understands and answers in a scenario. */
export interface DialogueServices {
  readonly recognizer: Recognizer | LiveRecognizer;
  readonly replies: ReplySource;
  close(): Promise<void>;
}

export interface DialogueServiceOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The turn of this number, counted by the server from 1; undefined: there is none. */
  turnOf(turn: number): Turn | undefined;
}

/** Hosts that only exist in the laboratory: a provider of speech may be at any real one. */
const recognitionHost = 'recognition.echokit-laboratory';
const modelHost = 'model.echokit-laboratory';
const httpPort = 80;
const standInKey = 'sk_stand_in';
/** Messages of the conversation that the model is shown are twice as many. */
const history = 10;

/**
 * Script, or services that know the script and are asked over the wire, as the scenario says. Their
 * stand-ins answer here also in a live run, which is about speech.
 */
export async function openDialogueServices(
  { server, turns }: Scenario,
  network: LaboratoryNetwork,
  options: DialogueServiceOptions,
): Promise<DialogueServices> {
  const { clock, random, turnOf } = options;
  const closing: (() => unknown)[] = [];
  /** @returns host of its URLs */
  const impersonate = async (
    service: 'chat' | 'transcription' | 'paraformer',
    host: string,
  ): Promise<string> => {
    const standIn = createDialogueStandIn(service, {
      clock,
      random: random.fork(service),
      script: { turns, recognitionMs: server.recognitionMs },
    });
    const endpoint = { host, port: httpPort };
    network.setLink(endpoint, { latencyUs: 0, jitterUs: 0, connectUs: standIn.connectMs * 1000 });
    const accept = (stream: Duplex): void => standIn.accept(stream);
    const listener = await network.impersonate(endpoint, accept);
    closing.push(
      () => standIn.close(),
      () => listener.close(),
    );
    return host;
  };
  /** Clients are closed before what they are connected to. */
  const opened = <Client extends { close(): void }>(client: Client): Client => {
    closing.unshift(() => client.close());
    return client;
  };
  const deps = { clock, dialer: network, randomBytes: (count: number) => random.bytes(count) };

  const openRecognizer = async (): Promise<Recognizer | LiveRecognizer> => {
    if (server.asrService === 'script') {
      const heard = ({ turn }: { turn: number }) => turnOf(turn)?.heard;
      return scriptedRecognizer(heard, { clock, durationMs: server.recognitionMs });
    }
    if (server.asrService === 'paraformer') {
      const host = await impersonate('paraformer', recognitionHost);
      const url = `ws://${host}/api-ws/v1/inference`;
      return opened(paraformerRecognizer({ url, token: standInKey }, deps));
    }
    const host = await impersonate('transcription', recognitionHost);
    const url = `http://${host}/v1/audio/transcriptions`;
    return opened(whisperRecognizer({ url, apiKey: standInKey, model: 'whisper-1' }, deps));
  };
  const openReplies = async (): Promise<ReplySource> => {
    if (server.llmService === 'script') {
      const reply = ({ turn }: { turn: number }) => {
        const script = turnOf(turn);
        return script && { text: script.reply, ...script.replyPace };
      };
      return scriptedReply(reply, { clock });
    }
    const base = `http://${await impersonate('chat', modelHost)}/v1`;
    const config = { apiKey: standInKey, model: 'gpt-4.1-mini' };
    return opened(
      server.llmService === 'chat'
        ? chatReplies({ ...config, url: `${base}/chat/completions`, history }, deps)
        : responsesReplies({ ...config, url: `${base}/responses` }, deps),
    );
  };

  return {
    recognizer: await openRecognizer(),
    replies: await openReplies(),
    close: async () => {
      for (const close of closing) await close();
    },
  };
}
