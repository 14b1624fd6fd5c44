import type { Random } from '../random/random.ts';
import type { Fields } from './field-check.ts';
import {
  fieldsOf,
  fishObstacle,
  fishRefusals,
  fishRetryAfter,
  fishWavHeader,
  liveFaults,
  loggedFields,
  packed,
  unpacked,
} from './fish-protocol.ts';
import { type FishRequest, fishModel, readFishRequest, unknownReference } from './fish-request.ts';
import {
  bearerKey,
  keepMessage,
  type OpenRequest,
  type ProviderServer,
  type Upgrade,
} from './provider-server.ts';
import type { ProviderSocket, SocketHost, SocketService } from './provider-socket.ts';
import { renderClip } from './rendered-clip.ts';
import { SpeechEngine } from './speech-engine.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import { firstSegment } from './text-segments.ts';
import { withoutLead } from './voice-name.ts';
import { type Conversation, strikeConversation, strikeHandshake } from './wordless-faults.ts';

export const fishLivePath = '/v1/tts/live';

/** A map of one entry whose key never comes. */
const brokenMap = Uint8Array.of(0x81, 0xa5, 0x65);

/** What is said at the upgrade, or when a session starts. */
const refusedAtOnce = ['auth', 'quota', 'rate-limit', 'server'] as const;

/**
 * Fish Audio's live socket `/v1/tts/live` (TTS provider protocol reference, sections 7.3 and 7.8):
 * MessagePack maps in binary frames. One session, from `start` to `finish`, is one request for
 * speech, with a log entry of its own beside that of its connection.
 */
export function openFishLive(server: ProviderServer, sockets: SocketHost, upgrade: Upgrade): void {
  // A WebSocket takes longer to be usable than a connection for HTTP.
  const { connectMs } = server.timingOf('balanced');
  const extraUs = Math.max(0, connectMs - server.connectMs) * 1000;
  if (extraUs === 0) answerUpgrade(server, sockets, upgrade);
  else server.options.clock.after(extraUs, () => answerUpgrade(server, sockets, upgrade));
}

function answerUpgrade(server: ProviderServer, sockets: SocketHost, upgrade: Upgrade): void {
  const { incoming, stream, entry } = upgrade;
  if (strikeHandshake(server, upgrade, liveFaults)) return;
  const planted = server.strikeUpgrade(entry, liveFaults, ...refusedAtOnce);
  const key = bearerKey(incoming.headers.authorization);
  const refusal = planted ?? (server.accepts(key) ? undefined : 'auth');
  if (refusal === undefined) {
    const model = fishModel(incoming.headers['model']);
    sockets.open(upgrade, (socket) => new LiveSocket(server, socket, model));
    return;
  }
  const { status, message } = fishRefusals[refusal];
  entry.error = message;
  const headers = refusal === 'rate-limit' ? fishRetryAfter : {};
  server.refuseUpgrade(stream, entry, status, { message, status }, headers);
}

/** One connection: nothing, or one session, at a time. */
class LiveSocket implements SocketService {
  readonly #server: ProviderServer;
  readonly #socket: ProviderSocket;
  /** Fixed for the life of the socket. */
  readonly #model: string;
  #session: Session | undefined;

  constructor(server: ProviderServer, socket: ProviderSocket, model: string) {
    this.#server = server;
    this.#socket = socket;
    this.#model = model;
  }

  message(data: Buffer, isBinary: boolean): void {
    if (this.#session?.muted === true) return;
    const fields = isBinary ? unpacked(data) : undefined;
    const text = fields === undefined ? data.toString() : loggedFields(fields);
    const logged = { atUs: this.#server.options.clock.nowUs(), text };
    const event = fields?.['event'];
    if (event === 'start' && this.#session === undefined) {
      this.#start(fields!, logged);
      return;
    }
    keepMessage(this.#session?.entry ?? this.#socket.entry, logged);
    if (fields === undefined) {
      this.#fail('A message must be a MessagePack map in a binary frame.');
    } else if (event === 'start') {
      this.#fail('start: the session before has not finished.');
    } else if (this.#session === undefined) {
      this.#fail(`${String(event)}: a session begins with start.`);
    } else {
      this.#session.take(fields);
    }
  }

  closed(code: number): void {
    this.#session?.end('aborted');
    this.#server.conclude(this.#socket.entry, code === 1000 ? 'answered' : 'aborted');
  }

  #start(fields: Fields, logged: OpenRequest['messages'][number]): void {
    const { entry, random } = this.#server.openTask(this.#socket.entry, liveFaults);
    keepMessage(entry, logged);
    const session = new Session(this.#server, this.#model, entry, random, {
      send: (message) => this.#socket.send(packed(message)),
      finished: () => {
        this.#session = undefined;
        if (!this.#server.personality.behavior.staysOpen) this.#socket.close(1000);
      },
      closed: () => this.#socket.close(1000),
      garble: () => this.#socket.send(brokenMap),
      cut: () => this.#socket.cut(),
    });
    this.#session = session;
    session.start(fields['request']);
  }

  #fail(message: string): void {
    if (this.#session !== undefined) {
      this.#session.fail(message);
      return;
    }
    this.#socket.entry.error = message;
    this.#socket.send(packed({ event: 'finish', reason: 'error', message }));
    this.#socket.close(1000);
  }
}

interface SessionOutput {
  send(message: object): void;
  /** `finish` has been sent. */
  finished(): void;
  /** Nothing more comes, and the socket is closed: for example after an error. */
  closed(): void;
  /** Sends something that is none of the protocol. */
  garble(): void;
  cut(): void;
}

class Session {
  readonly entry: OpenRequest;
  readonly #server: ProviderServer;
  readonly #model: string;
  readonly #output: SessionOutput;
  readonly #engine: SpeechEngine;
  readonly #startUs: number;
  #request: FishRequest | undefined;
  #buffer = '';
  #stopped = false;
  #sent = false;
  #over = false;
  #muted = false;

  constructor(
    server: ProviderServer,
    model: string,
    entry: OpenRequest,
    random: Random,
    output: SessionOutput,
  ) {
    this.entry = entry;
    this.#server = server;
    this.#model = model;
    this.#output = output;
    this.#engine = new SpeechEngine(server, entry, random);
    this.#startUs = server.options.clock.nowUs();
  }

  /** Nothing more is sent, but the socket stays open. */
  get muted(): boolean {
    return this.#muted;
  }

  start(value: unknown): void {
    const struck = this.#server.strike(this.entry, 'answer');
    if (struck !== undefined) {
      this.#struck(struck, 'answer');
      return;
    }
    const refusal = this.#server.strike(this.entry, 'first-audio', ...refusedAtOnce);
    if (refusal !== undefined) {
      this.#failAs(refusal);
      return;
    }
    const planted = this.#server.strike(this.entry, 'first-audio', 'bad-voice');
    const fields = fieldsOf(value);
    if (fields === undefined) {
      this.fail('request: Input should be a valid dictionary');
      return;
    }
    const request = readFishRequest(fields, this.#model, false);
    const problem =
      'message' in request
        ? request
        : planted === 'bad-voice'
          ? unknownReference(request.voice)
          : fishObstacle(this.#server, request, fields);
    if (problem !== undefined) {
      this.fail(problem.message);
    } else if ('text' in request) {
      this.#request = request;
      const message = `session started: model ${this.#model}, latency ${request.latency}`;
      this.#output.send({ event: 'log', message });
      this.#append(request.text);
    }
  }

  take(fields: Fields): void {
    if (this.#over || this.#stopped) return;
    switch (fields['event']) {
      case 'text':
        if (typeof fields['text'] === 'string') this.#append(fields['text']);
        else this.fail('text: Input should be a valid string');
        break;
      case 'flush':
        this.#generate(this.#buffer.length);
        break;
      case 'stop':
        this.#stopped = true;
        this.#generate(this.#buffer.length);
        this.#finishWhenDue();
        break;
      default:
        this.fail(`Unknown event: ${String(fields['event'])}`);
    }
  }

  fail(message: string): void {
    if (this.#over) return;
    this.entry.error = message;
    this.end('answered');
    this.#output.send({ event: 'finish', reason: 'error', message });
    this.#output.closed();
  }

  /** Forgets everything planned. */
  end(outcome: 'answered' | 'aborted' | 'cut'): void {
    this.#over = true;
    this.#engine.stop();
    this.#server.conclude(this.entry, outcome);
  }

  /** Text waits until there is a segment of it. */
  #append(text: string): void {
    this.#buffer += text;
    const { chunkLength } = this.#request!;
    while ([...this.#buffer].length >= chunkLength) {
      this.#generate(firstSegment(this.#buffer, chunkLength).length);
    }
  }

  #generate(length: number): void {
    const text = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    const { audio, container, latency, voice } = this.#request!;
    const timing = latency === 'normal' ? this.#server.profile : this.#server.timingOf('balanced');
    // The silence in front is said once, not before every segment.
    const begins = this.#engine.passages === 0;
    const profile = begins ? timing : { ...timing, leadSilenceMs: 0 };
    const name = begins ? voice : withoutLead(voice);
    const clip = renderClip(this.#server.options.voice, text, name, audio.rateHz, profile);
    if (clip.length === 0) return;
    this.#engine.say(
      { clip, format: audio, profile, label: 'segment', whole: latency === 'normal' },
      {
        chunk: (chunk) => {
          const header =
            container === 'wav' && !this.#sent ? fishWavHeader(audio.rateHz) : Buffer.alloc(0);
          this.#sent = true;
          const elapsedUs = this.#server.options.clock.nowUs() - this.#startUs;
          this.#output.send({
            event: 'audio',
            audio: Buffer.concat([header, chunk]),
            time: Math.round(elapsedUs / 1000),
          });
        },
        end: () => this.#finishWhenDue(),
        struck: (kind, moment) => this.#struck(kind, moment),
      },
    );
  }

  #struck(kind: StandInFaultKind, moment: FaultMoment): void {
    const conversation: Conversation = {
      mute: () => {
        this.#engine.stop();
        this.#over = true;
        this.#muted = true;
      },
      cut: () => {
        this.end('cut');
        this.#output.cut();
      },
      garble: () => this.#output.garble(),
      finish: () => this.#finish(),
      leave: () => {
        this.end('answered');
        this.#output.closed();
      },
      fail: (fault) => this.#failAs(fault),
    };
    strikeConversation(conversation, kind, moment);
  }

  #failAs(kind: StandInFaultKind): void {
    const known = refusedAtOnce.find((name) => name === kind) ?? 'server';
    this.fail(fishRefusals[known].message);
  }

  #finishWhenDue(): void {
    if (!this.#stopped || this.#engine.busy) return;
    const struck = this.#server.strike(this.entry, 'end');
    if (struck === undefined) this.#finish();
    else this.#struck(struck, 'end');
  }

  #finish(): void {
    if (this.#over) return;
    this.end('answered');
    this.#output.send({ event: 'finish', reason: 'stop' });
    this.#output.finished();
  }
}
