import type { Alarm } from '../clock/clock.ts';
import { SpeechContext } from './elevenlabs-context.ts';
import {
  credentialProblem,
  failSocket,
  garble,
  inactivityProblem,
  jsonObject,
  type SocketProblem,
  socketFaults,
} from './elevenlabs-protocol.ts';
import {
  closeUs,
  finalMessageUs,
  type StreamSettings,
  streamSettings,
} from './elevenlabs-stream-input.ts';
import {
  keepMessage,
  type OpenRequest,
  type ProviderServer,
  type Upgrade,
  withoutKeys,
} from './provider-server.ts';
import type { ProviderSocket, SocketHost, SocketService } from './provider-socket.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import { type Conversation, strikeConversation } from './wordless-faults.ts';

const contextsMax = 5;
/** A message without a context is about this one. */
const defaultContext = 'default';

/**
 * `/v1/text-to-speech/{voice_id}/multi-stream-input` (TTS provider protocol reference, section 6.3):
 * up to five contexts on one socket, each with a buffer, an engine and an idle timer of its own. One
 * context is one request for speech.
 */
export function openMultiStreamInput(
  server: ProviderServer,
  sockets: SocketHost,
  upgrade: Upgrade,
  voice: string,
): void {
  const settings = streamSettings(server, upgrade, voice, socketFaults);
  if (settings === undefined) return;
  sockets.open(upgrade, (socket) => new MultiStreamInput(server, socket, settings));
}

interface InputMessage {
  /** Both spellings occur. */
  readonly context_id?: unknown;
  readonly contextId?: unknown;
  readonly text?: unknown;
  readonly flush?: unknown;
  readonly close_context?: unknown;
  readonly closeContext?: unknown;
  readonly close_socket?: unknown;
  readonly closeSocket?: unknown;
  readonly voice_settings?: unknown;
  readonly generation_config?: unknown;
}

interface LiveContext {
  readonly id: string;
  readonly entry: OpenRequest;
  readonly speech: SpeechContext;
  /** Takes no more text; its final message is due when all has been sent. */
  closing: boolean;
  finalDue: boolean;
  /** Nothing more is sent for it. */
  muted: boolean;
  idle?: Alarm;
  final?: Alarm;
}

class MultiStreamInput implements SocketService {
  readonly #server: ProviderServer;
  readonly #socket: ProviderSocket;
  readonly #settings: StreamSettings;
  /** In order of opening; a context that is closing stays until its final message. */
  readonly #contexts = new Set<LiveContext>();
  #messages = 0;
  #socketClosing = false;
  #over = false;
  /** Runs while no context is open. */
  #idle: Alarm | undefined;
  #close: Alarm | undefined;

  constructor(server: ProviderServer, socket: ProviderSocket, settings: StreamSettings) {
    this.#server = server;
    this.#socket = socket;
    this.#settings = settings;
    this.#restartSocketTimer();
  }

  message(data: Buffer, isBinary: boolean): void {
    if (this.#over) return;
    const text = data.toString();
    const logged = { atUs: this.#server.options.clock.nowUs(), text: withoutKeys(text) };
    const fields = isBinary ? undefined : jsonObject(text);
    if (fields === undefined || this.#socketClosing) {
      keepMessage(this.#socket.entry, logged);
      if (this.#socketClosing) return;
      this.#failInput('A message must be a JSON object.');
      return;
    }
    this.#messages++;
    if (this.#messages === 1 && !this.#settings.authenticated) {
      const problem = credentialProblem(this.#server, fields);
      if (problem !== undefined) {
        keepMessage(this.#socket.entry, logged);
        this.#fail(problem);
        return;
      }
    }
    const message = fields as InputMessage;
    if (message.close_socket === true || message.closeSocket === true) {
      keepMessage(this.#socket.entry, logged);
      this.#closeSocket();
      return;
    }
    this.#takeForContext(message, logged);
  }

  closed(): void {
    this.#stop('aborted');
    this.#server.conclude(this.#socket.entry, 'aborted');
  }

  #takeForContext(message: InputMessage, logged: OpenRequest['messages'][number]): void {
    const id = message.context_id ?? message.contextId ?? defaultContext;
    const text = message.text ?? '';
    const closes = message.close_context === true || message.closeContext === true;
    if (typeof id !== 'string' || typeof text !== 'string') {
      keepMessage(this.#socket.entry, logged);
      this.#failInput('context_id and text must be strings.');
      return;
    }
    const known = [...this.#contexts].find((context) => context.id === id && !context.closing);
    // Closing what is not there opens nothing; everything else does (section 6.3).
    if (known === undefined && closes) {
      keepMessage(this.#socket.entry, logged);
      return;
    }
    const context = known ?? this.#open(id, logged);
    if (context === undefined) return;
    keepMessage(context.entry, logged);
    if (known === undefined && this.#refuse(context)) return;
    if (context.muted) return;
    this.#restartIdleTimer(context);
    const settings = message.voice_settings ?? message.generation_config;
    if (known !== undefined && settings !== undefined && settings !== null) {
      const what = 'voice_settings and generation_config belong to the first message of a context.';
      this.#failContext(context, { error: 'invalid_input_message', message: what });
    } else if (!context.speech.configure(message.generation_config)) {
      const what = 'chunk_length_schedule: numbers from 50 to 500.';
      this.#failContext(context, { error: 'invalid_input_message', message: what });
    } else {
      this.#speak(context, closes ? '' : text, message.flush === true);
      if (closes && !this.#over) this.#closeContext(context);
    }
  }

  /** `undefined` after the socket has been closed because there are too many. */
  #open(id: string, logged: OpenRequest['messages'][number]): LiveContext | undefined {
    if (this.#contexts.size >= contextsMax) {
      keepMessage(this.#socket.entry, logged);
      const message =
        `Maximum simultaneous contexts per WebSocket connection exceeded (${contextsMax}). ` +
        'Please close an existing context before opening a new one.';
      this.#fail({ error: 'max_active_conversations', message });
      return undefined;
    }
    this.#idle?.cancel();
    const { entry, random } = this.#server.openTask(this.#socket.entry, socketFaults);
    const context: LiveContext = {
      id,
      entry,
      speech: new SpeechContext(this.#server, entry, random, this.#settings, {
        audio: (message) => this.#send({ ...message, contextId: id }),
        generated: () => this.#finalWhenDue(context),
        struck: (kind, moment) => this.#struck(context, kind, moment),
      }),
      closing: false,
      finalDue: false,
      muted: false,
    };
    this.#contexts.add(context);
    return context;
  }

  /** Planted faults that strike a context in the place of a handshake. */
  #refuse(context: LiveContext): boolean {
    const planted = this.#server.strike(context.entry, 'answer');
    if (planted !== undefined) this.#struck(context, planted, 'answer');
    return planted !== undefined;
  }

  #speak(context: LiveContext, text: string, flush: boolean): void {
    const problem = context.speech.append(text);
    if (problem === undefined) context.speech.generateWhenDue({ flush });
    else this.#failContext(context, problem);
  }

  /** What has not been given to the engine is dropped, what has is sent to its end. */
  #closeContext(context: LiveContext): void {
    if (context.closing || context.muted) return;
    context.closing = true;
    context.idle?.cancel();
    context.speech.dropBuffer();
    context.final = this.#server.options.clock.after(finalMessageUs, () => {
      context.finalDue = true;
      this.#finalWhenDue(context);
    });
  }

  /** Says what is buffered in all contexts, ends them and closes. */
  #closeSocket(): void {
    this.#socketClosing = true;
    this.#idle?.cancel();
    for (const context of [...this.#contexts]) {
      if (!context.closing && !context.muted) context.speech.generateWhenDue({ flush: true });
      this.#closeContext(context);
    }
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (!this.#socketClosing || this.#contexts.size > 0 || this.#over) return;
    this.#close = this.#server.options.clock.after(closeUs, () => {
      this.#over = true;
      this.#socket.close(1000);
    });
  }

  #finalWhenDue(context: LiveContext): void {
    if (!context.finalDue || context.speech.busy) return;
    const struck = this.#server.strike(context.entry, 'end');
    if (struck === undefined) this.#final(context);
    else this.#struck(context, struck, 'end');
  }

  #final(context: LiveContext): void {
    this.#send({ isFinal: true, contextId: context.id });
    this.#end(context, 'answered');
    if (this.#contexts.size > 0) return;
    if (this.#socketClosing) this.#closeWhenDone();
    else this.#restartSocketTimer();
  }

  #struck(context: LiveContext, kind: StandInFaultKind, moment: FaultMoment): void {
    const conversation: Conversation = {
      mute: () => {
        this.#silence(context);
        context.muted = true;
      },
      cut: () => {
        this.#end(context, 'cut');
        this.#stop('aborted');
        this.#socket.cut();
      },
      garble: () => garble(this.#socket, moment),
      finish: () => this.#final(context),
      leave: () => {
        this.#end(context, 'answered');
        this.#stop('aborted');
        this.#socket.close(1000);
      },
      fail: (fault) => this.#failContext(context, context.speech.problemOf(fault)),
    };
    strikeConversation(conversation, kind, moment);
  }

  #failContext(context: LiveContext, problem: SocketProblem): void {
    context.entry.error = problem.error;
    this.#end(context, 'answered');
    this.#fail(problem);
  }

  #failInput(message: string): void {
    this.#fail({ error: 'invalid_input_message', message });
  }

  #fail(problem: SocketProblem): void {
    this.#stop('aborted');
    failSocket(this.#socket, problem);
  }

  #send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  #restartIdleTimer(context: LiveContext): void {
    context.idle?.cancel();
    context.idle = this.#server.options.clock.after(this.#settings.inactivitySeconds * 1e6, () =>
      this.#closeContext(context),
    );
  }

  #restartSocketTimer(): void {
    this.#idle?.cancel();
    const { inactivitySeconds: seconds } = this.#settings;
    this.#idle = this.#server.options.clock.after(seconds * 1e6, () => {
      this.#fail(inactivityProblem(seconds));
    });
  }

  #silence(context: LiveContext): void {
    context.idle?.cancel();
    context.final?.cancel();
    context.speech.stop();
  }

  #end(context: LiveContext, outcome: 'answered' | 'aborted' | 'cut'): void {
    this.#silence(context);
    this.#contexts.delete(context);
    this.#server.conclude(context.entry, outcome);
  }

  #stop(outcome: 'aborted'): void {
    this.#over = true;
    this.#idle?.cancel();
    this.#close?.cancel();
    for (const context of [...this.#contexts]) this.#end(context, outcome);
  }
}
