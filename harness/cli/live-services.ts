/** Recognition and language model of an EchoKit configuration, for `serve --live`. */
import type { EchoKitConfig } from '../echokit-config/echokit-config.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import type { Endpoint } from '../network/network.ts';
import type { LiveRecognizer } from '../server/live-recognizer.ts';
import { chatReplies, responsesReplies } from '../server/model-replies.ts';
import { paraformerRecognizer } from '../server/paraformer-recognizer.ts';
import type { Recognizer } from '../server/recognizer.ts';
import type { ReplySource } from '../server/reply-source.ts';
import { whisperRecognizer } from '../server/whisper-recognizer.ts';

export interface LiveService {
  /** As in the file. */
  readonly section: '[asr]' | '[llm]';
  readonly endpoint: Endpoint;
  /** Must not be shown. */
  readonly apiKey: string | undefined;
}

/** The services that the configuration names. */
export function liveServices(config: EchoKitConfig | undefined): LiveService[] {
  const { recognition, model } = config ?? {};
  const asr =
    recognition &&
    ('whisper' in recognition
      ? recognition.whisper
      : { url: recognition.paraformer.url, apiKey: recognition.paraformer.token });
  const llm = model && ('chat' in model ? model.chat : model.responses);
  const named = [
    ['[asr]', asr],
    ['[llm]', llm],
  ] as const;
  return named.flatMap(([section, service]) => {
    if (service === undefined) return [];
    const endpoint = endpointOfUrl(new URL(service.url));
    return [{ section, endpoint, apiKey: service.apiKey }];
  });
}

/** Clients of them, which MUST be closed; what the configuration does not name is absent. */
export function openLiveServices(
  { recognition, model }: Pick<EchoKitConfig, 'recognition' | 'model'>,
  deps: Parameters<typeof whisperRecognizer>[1],
): {
  readonly recognizer?: Recognizer | LiveRecognizer;
  readonly replies?: ReplySource;
  close(): void;
} {
  const recognizer =
    recognition &&
    ('whisper' in recognition
      ? whisperRecognizer(recognition.whisper, deps)
      : paraformerRecognizer(recognition.paraformer, deps));
  const replies =
    model &&
    ('chat' in model ? chatReplies(model.chat, deps) : responsesReplies(model.responses, deps));
  return {
    ...(recognizer && { recognizer }),
    ...(replies && { replies }),
    close: () => {
      recognizer?.close();
      replies?.close();
    },
  };
}
