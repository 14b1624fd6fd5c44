import type { Alarm } from '../clock/clock.ts';
import { SpeechContext } from './elevenlabs-context.ts';
import {
  credentialProblem,
  failSocket,
  garble,
  inactivityProblem,
  jsonObject,
  queryValue,
  refuseHandshake,
  type SocketProblem,
  type SocketSettings,
  shakeHands,
} from './elevenlabs-protocol.ts';
import type { FaultTable } from './planted-fault.ts';
import { keepMessage, type ProviderServer, type Upgrade, withoutKeys } from './provider-server.ts';
import type { ProviderSocket, SocketHost, SocketService } from './provider-socket.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import { type Conversation, strikeConversation } from './wordless-faults.ts';

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
  tasks?: FaultTable,
): StreamSettings | undefined {
  const settings = shakeHands(server, upgrade, 'text-to-speech', tasks);
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
  const settings = streamSettings(server, upgrade, voice);
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
      generated: () => this.#finalWhenDue(),
      struck: (kind, moment) => this.#struck(kind, moment),
    });
    this.#restartIdleTimer();
  }

  message(data: Buffer, isBinary: boolean): void {
    if (this.#over) return;
    const text = data.toString();
    const { clock } = this.#server.options;
    keepMessage(this.#socket.entry, { atUs: clock.nowUs(), text: withoutKeys(text) });
    if (this.#inputEnded || this.#muted) return;
    this.#restartIdleTimer();
    const fields = isBinary ? undefined : jsonObject(text);
    if (typeof fields?.['text'] !== 'string') {
      this.#failInput('A message must be a JSON object with a text field.');
      return;
    }
    const message = fields as object as InputMessage;
    this.#messages++;
    if (this.#messages === 1 && !this.#settings.authenticated) {
      const problem = credentialProblem(this.#server, fields);
      if (problem !== undefined) {
        this.#fail(problem);
        return;
      }
    }
    if (!this.#context.configure(message.generation_config ?? message.generator_config)) {
      this.#failInput('chunk_length_schedule: numbers from 50 to 500.');
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
      this.#fail(problem);
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

  #struck(kind: StandInFaultKind, moment: FaultMoment): void {
    const conversation: Conversation = {
      mute: () => {
        this.#stop();
        this.#over = false;
        this.#muted = true;
      },
      cut: () => {
        this.#stop();
        this.#socket.cut();
      },
      garble: () => garble(this.#socket, moment),
      finish: () => this.#final(),
      leave: () => {
        this.#stop();
        this.#socket.close(1000);
      },
      fail: (fault) => this.#fail(this.#context.problemOf(fault)),
    };
    strikeConversation(conversation, kind, moment);
  }

  /** The final message follows the end of input and the last audio, whichever is later. */
  #finalWhenDue(): void {
    if (!this.#finalDue || this.#context.busy) return;
    const struck = this.#server.strike(this.#socket.entry, 'end');
    if (struck === undefined) this.#final();
    else this.#struck(struck, 'end');
  }

  #final(): void {
    const nothing = { normalizedAlignment: null, alignment: null };
    this.#socket.send(JSON.stringify({ audio: null, isFinal: true, ...nothing }));
    this.#stop();
    this.#server.conclude(this.#socket.entry, 'answered');
    this.#closing = this.#server.options.clock.after(closeUs, () => this.#socket.close(1000));
  }

  #failInput(message: string): void {
    this.#fail({ error: 'invalid_input_message', message });
  }

  #fail(problem: SocketProblem): void {
    this.#stop();
    failSocket(this.#socket, problem);
  }

  #restartIdleTimer(): void {
    this.#idle?.cancel();
    const { inactivitySeconds: seconds } = this.#settings;
    this.#idle = this.#server.options.clock.after(seconds * 1e6, () => {
      this.#fail(inactivityProblem(seconds));
    });
  }

  #stop(): void {
    this.#over = true;
    this.#idle?.cancel();
    this.#closing?.cancel();
    this.#context.stop();
  }
}
