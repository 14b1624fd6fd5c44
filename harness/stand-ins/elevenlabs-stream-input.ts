import type { Alarm } from '../clock/clock.ts';
import { SpeechContext } from './elevenlabs-context.ts';
import {
  credentialProblem,
  failSocket,
  inactivityProblem,
  jsonObject,
  queryValue,
  refuseHandshake,
  type SocketSettings,
  shakeHands,
} from './elevenlabs-protocol.ts';
import { type ProviderServer, type Upgrade, withoutKeys } from './provider-server.ts';
import type { ProviderSocket, SocketHost, SocketService } from './provider-socket.ts';
import type { StandInFaultKind } from './stand-in-changes.ts';

const inactivitySeconds = { default: 20, max: 180 };
/** After the end of input, when nothing is left to say; and from there to the close (section 6.9). */
export const finalMessageUs = 60_000;
export const closeUs = 1000;

/** What the two sockets of text-to-speech read from their handshake beyond {@link SocketSettings}. */
export interface StreamSettings extends SocketSettings {
  readonly voice: string;
  readonly inactivitySeconds: number;
  readonly autoMode: boolean;
}

/** Refuses the handshake and returns `undefined` when it will not do. */
export function streamSettings(
  server: ProviderServer,
  upgrade: Upgrade,
  voice: string,
  planted: 'auth' | 'rate-limit' | undefined,
): StreamSettings | undefined {
  const settings = shakeHands(server, upgrade, 'text-to-speech', planted);
  if (settings === undefined) return undefined;
  const { url } = upgrade;
  const inactivity = Number(queryValue(url, 'inactivity_timeout') ?? inactivitySeconds.default);
  if (!(inactivity > 0 && inactivity <= inactivitySeconds.max)) {
    const message = `inactivity_timeout must be above 0 and at most ${inactivitySeconds.max}.`;
    return refuseHandshake(server, upgrade, 400, 'invalid_inactivity_timeout', message);
  }
  const autoMode = queryValue(url, 'auto_mode') === 'true';
  return { ...settings, voice, inactivitySeconds: inactivity, autoMode };
}

/**
 * `/v1/text-to-speech/{voice_id}/stream-input` (TTS provider protocol reference, sections 6.2 and
 * 6.9). One socket is one request for speech.
 */
export function openStreamInput(
  server: ProviderServer,
  sockets: SocketHost,
  upgrade: Upgrade,
  voice: string,
): void {
  const planted = server.strike(upgrade.entry, 'auth', 'rate-limit');
  const settings = streamSettings(server, upgrade, voice, planted);
  if (settings === undefined) return;
  sockets.open(upgrade, (socket) => new StreamInput(server, socket, settings, upgrade));
}

interface InputMessage {
  readonly text: string;
  readonly flush?: unknown;
  readonly try_trigger_generation?: unknown;
  readonly generation_config?: unknown;
  /** The SDK's name for it in later messages. */
  readonly generator_config?: unknown;
}

class StreamInput implements SocketService {
  readonly #server: ProviderServer;
  readonly #socket: ProviderSocket;
  readonly #settings: StreamSettings;
  readonly #context: SpeechContext;
  #messages = 0;
  #inputEnded = false;
  #finalDue = false;
  /** Nothing more is sent, but the socket stays open. */
  #muted = false;
  #over = false;
  #idle: Alarm | undefined;
  #closing: Alarm | undefined;

  constructor(
    server: ProviderServer,
    socket: ProviderSocket,
    settings: StreamSettings,
    { entry, random }: Upgrade,
  ) {
    this.#server = server;
    this.#socket = socket;
    this.#settings = settings;
    this.#context = new SpeechContext(server, entry, random, settings, {
      audio: (message) => socket.send(JSON.stringify(message)),
      generated: (fault) => {
        if (fault !== undefined) this.#break(fault);
        else this.#finalWhenDue();
      },
    });
    this.#restartIdleTimer();
  }

  message(data: Buffer, isBinary: boolean): void {
    if (this.#over) return;
    const text = data.toString();
    const { clock } = this.#server.options;
    this.#socket.entry.messages.push({ atUs: clock.nowUs(), text: withoutKeys(text) });
    if (this.#inputEnded || this.#muted) return;
    this.#restartIdleTimer();
    const fields = isBinary ? undefined : jsonObject(text);
    if (typeof fields?.['text'] !== 'string') {
      this.#fail('invalid_input_message', 'A message must be a JSON object with a text field.');
      return;
    }
    const message = fields as object as InputMessage;
    this.#messages++;
    if (this.#messages === 1 && !this.#settings.authenticated) {
      const problem = credentialProblem(this.#server, fields);
      if (problem !== undefined) {
        this.#fail(problem.error, problem.message);
        return;
      }
    }
    if (!this.#context.configure(message.generation_config ?? message.generator_config)) {
      this.#fail('invalid_input_message', 'chunk_length_schedule: numbers from 50 to 500.');
      return;
    }
    this.#take(message);
  }

  closed(): void {
    this.#stop();
    this.#server.conclude(this.#socket.entry, 'aborted');
  }

  #take(message: InputMessage): void {
    this.#inputEnded = message.text === '';
    const problem = this.#context.append(message.text);
    if (problem !== undefined) {
      this.#fail(problem.error, problem.message, problem.code);
      return;
    }
    const flush = message.flush === true || this.#inputEnded;
    this.#context.generateWhenDue({ ...message, flush });
    if (!this.#inputEnded) return;
    this.#idle?.cancel();
    this.#closing = this.#server.options.clock.after(finalMessageUs, () => {
      this.#finalDue = true;
      this.#finalWhenDue();
    });
  }

  #break(kind: StandInFaultKind): void {
    if (kind === 'stall') {
      this.#stop();
      this.#over = false;
      this.#muted = true;
    } else if (kind === 'cut') {
      this.#stop();
      this.#socket.cut();
    } else {
      this.#final();
    }
  }

  /** The final message follows the end of input and the last audio, whichever is later. */
  #finalWhenDue(): void {
    if (this.#finalDue && !this.#context.busy) this.#final();
  }

  #final(): void {
    const nothing = { normalizedAlignment: null, alignment: null };
    this.#socket.send(JSON.stringify({ audio: null, isFinal: true, ...nothing }));
    this.#stop();
    this.#server.conclude(this.#socket.entry, 'answered');
    this.#closing = this.#server.options.clock.after(closeUs, () => this.#socket.close(1000));
  }

  #fail(error: string, message: string, code?: number): void {
    this.#stop();
    failSocket(this.#socket, error, message, code === undefined ? {} : { code });
  }

  #restartIdleTimer(): void {
    this.#idle?.cancel();
    const { inactivitySeconds: seconds } = this.#settings;
    this.#idle = this.#server.options.clock.after(seconds * 1e6, () => {
      const { error, message } = inactivityProblem(seconds);
      this.#fail(error, message);
    });
  }

  #stop(): void {
    this.#over = true;
    this.#idle?.cancel();
    this.#closing?.cancel();
    this.#context.stop();
  }
}
