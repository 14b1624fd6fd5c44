import type { Alarm } from '../clock/clock.ts';
import { alignClip, snakeCaseAlignment } from './elevenlabs-alignment.ts';
import {
  credentialProblem,
  elevenLabsModels,
  failSocket,
  garble,
  inactivityProblem,
  jsonObject,
  lengthProblem,
  plantedProblem,
  refusedAtText,
  type SocketProblem,
  type SocketSettings,
  shakeHands,
  voiceProblem,
} from './elevenlabs-protocol.ts';
import { closeUs, finalMessageUs } from './elevenlabs-stream-input.ts';
import { keepMessage, type ProviderServer, type Upgrade, withoutKeys } from './provider-server.ts';
import type { ProviderSocket, SocketHost, SocketService } from './provider-socket.ts';
import { renderClip, spokenSpan } from './rendered-clip.ts';
import { SpeechEngine } from './speech-engine.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import type { TimingProfile } from './timing-profile.ts';
import { withoutLead } from './voice-name.ts';
import { type Conversation, strikeConversation } from './wordless-faults.ts';

/** Not configurable here. */
const inactivitySeconds = 20;
/** Text is spoken when there is so much of it: one of the two. There is no schedule to tune. */
const buffered = { charactersMin: 40, wordsMin: 8 };
/** What later messages may not bring. */
const firstMessageOnly = [
  'voices',
  'voice_settings',
  'pronunciation_dictionary_locators',
  'xi_api_key',
  'authorization',
  'single_use_token',
];

/**
 * The dialogue WebSocket `/v1/text-to-dialogue/stream-input`, which alone serves the v3 and v4 models
 * (TTS provider protocol reference, section 6.4). One socket is one request for speech.
 */
export function openDialogue(server: ProviderServer, sockets: SocketHost, upgrade: Upgrade): void {
  const settings = shakeHands(server, upgrade, 'dialogue');
  if (settings === undefined) return;
  const profile = server.timingOf('dialogue');
  sockets.open(upgrade, (socket) => new Dialogue(server, socket, settings, profile, upgrade));
}

interface DialogueInput {
  readonly text: string;
  readonly voice_id: string;
  readonly new_turn?: unknown;
}

/** What one voice says without a break between turns. */
interface Turn {
  readonly voice: string;
  buffer: string;
  /** Sent and planned so far: the pace goes on over the passages of a turn. */
  chunks: number;
  /** Passages that have not been sent to their end. */
  pending: number;
  /** Takes no more text. */
  over: boolean;
}

class Dialogue implements SocketService {
  readonly #server: ProviderServer;
  readonly #socket: ProviderSocket;
  readonly #settings: SocketSettings;
  readonly #profile: TimingProfile;
  readonly #engine: SpeechEngine;
  #voices: readonly string[] | undefined;
  /** The turn that takes text, and those before it whose audio is still being sent. */
  readonly #turns: Turn[] = [];
  #characters = 0;
  #inputEnded = false;
  #finalDue = false;
  #muted = false;
  #over = false;
  #idle: Alarm | undefined;
  #closing: Alarm | undefined;

  constructor(
    server: ProviderServer,
    socket: ProviderSocket,
    settings: SocketSettings,
    profile: TimingProfile,
    { entry, random }: Upgrade,
  ) {
    this.#server = server;
    this.#socket = socket;
    this.#settings = settings;
    this.#profile = profile;
    this.#engine = new SpeechEngine(server, entry, random);
    this.#restartIdleTimer();
  }

  message(data: Buffer, isBinary: boolean): void {
    if (this.#over) return;
    const text = data.toString();
    const { clock } = this.#server.options;
    keepMessage(this.#socket.entry, { atUs: clock.nowUs(), text: withoutKeys(text) });
    if (this.#inputEnded || this.#muted) return;
    this.#restartIdleTimer();
    const message = isBinary ? undefined : jsonObject(text);
    if (message === undefined) {
      this.#failInput('A message must be a JSON object.');
      return;
    }
    if (!this.#begin(message)) return;
    const inputs = message['inputs'] ?? [];
    if (!Array.isArray(inputs)) {
      this.#failInput('inputs must be a list.', 'inputs');
      return;
    }
    for (const input of inputs) if (!this.#take(input)) return;
    const ends = message['close_socket'] === true;
    if (message['flush'] === true || ends) this.#generate();
    if (ends) this.#endInput();
  }

  closed(): void {
    this.#stop();
    this.#server.conclude(this.#socket.entry, 'aborted');
  }

  /** The first message names the voices and may bring the key; later ones may do neither. */
  #begin(message: Readonly<Record<string, unknown>>): boolean {
    if (this.#voices !== undefined) {
      const repeated = firstMessageOnly.find((name) => message[name] !== undefined);
      if (repeated === undefined) return true;
      this.#failInput(`${repeated} can only be set in the first message.`, repeated);
      return false;
    }
    if (!this.#settings.authenticated) {
      const problem = credentialProblem(this.#server, message);
      if (problem !== undefined) {
        this.#fail(problem);
        return false;
      }
    }
    const { model } = this.#settings;
    const { voicesMax } = elevenLabsModels.get(model)!;
    const voices = message['voices'];
    const valid =
      Array.isArray(voices) && voices.every((voice) => typeof voice === 'string' && voice !== '');
    if (!valid || voices.length === 0 || voices.length > voicesMax) {
      const count = voicesMax === 1 ? 'exactly 1 voice' : `1 to ${voicesMax} voices`;
      const what = `The first message must name ${count} for ${model}.`;
      this.#failInput(what, 'voices');
      return false;
    }
    this.#voices = voices as string[];
    return true;
  }

  /** False after an input has been answered with an error. */
  #take(value: unknown): boolean {
    const input = value as Partial<DialogueInput> | null;
    if (typeof input?.text !== 'string' || typeof input.voice_id !== 'string') {
      this.#failInput('An input needs a text and a voice_id.', 'inputs');
      return false;
    }
    const { text, voice_id: voice } = input;
    if (!this.#voices!.includes(voice)) {
      const what = `voice_id ${voice} is not among the voices of the first message.`;
      this.#failInput(what, 'voice_id');
      return false;
    }
    this.#characters += [...text].length;
    const { model } = this.#settings;
    const limit = elevenLabsModels.get(model)!.charactersMax;
    const planted =
      text.trim() === ''
        ? undefined
        : this.#server.strike(this.#socket.entry, 'first-audio', ...refusedAtText);
    if (planted !== undefined) this.#fail(this.#problemOf(planted));
    else if (voice.startsWith('unknown')) this.#fail({ ...voiceProblem(voice), param: 'voices' });
    else if (this.#characters > limit) {
      this.#fail(lengthProblem(this.#characters, limit, model));
    } else {
      this.#append(text, voice, input.new_turn === true);
      return true;
    }
    return false;
  }

  #append(text: string, voice: string, newTurn: boolean): void {
    const last = this.#turns.at(-1);
    if (last !== undefined && !last.over && (newTurn || last.voice !== voice)) this.#endTurn();
    let turn = this.#turns.at(-1);
    if (turn === undefined || turn.over) {
      turn = { voice, buffer: '', chunks: 0, pending: 0, over: false };
      this.#turns.push(turn);
    }
    turn.buffer += text;
    const words = turn.buffer.match(/\S+/g)?.length ?? 0;
    const ready = [...turn.buffer].length >= buffered.charactersMin || words >= buffered.wordsMin;
    if (!ready) return;
    // Text comes in tokens: half a word waits for its other half.
    const cut = /[\s\p{P}]$/u.test(turn.buffer)
      ? turn.buffer.length
      : turn.buffer.search(/\s\S*$/u) + 1;
    if (cut > 0) this.#say(turn, cut);
  }

  /** Speaks what is buffered. */
  #generate(): void {
    const turn = this.#turns.at(-1);
    if (turn !== undefined && !turn.over) this.#say(turn, turn.buffer.length);
  }

  #say(turn: Turn, length: number): void {
    const text = turn.buffer.slice(0, length);
    turn.buffer = turn.buffer.slice(length);
    if (text.trim() === '') return;
    const { format, syncAlignment } = this.#settings;
    const { rateHz } = format;
    // One stretch of speech has silence in front of it once.
    const begins = turn.chunks === 0;
    const voice = begins ? turn.voice : withoutLead(turn.voice);
    const profile = begins ? this.#profile : { ...this.#profile, leadSilenceMs: 0 };
    const clip = renderClip(this.#server.options.voice, text, voice, rateHz, profile);
    const { sent } = alignClip(text, spokenSpan(clip, rateHz, profile, voice));
    turn.pending++;
    turn.chunks += this.#engine.say(
      {
        clip,
        format,
        profile,
        label: 'generation',
        chunksBefore: turn.chunks,
        characters: [...text].length,
      },
      {
        chunk: (audio, window) => {
          const alignment = syncAlignment ? snakeCaseAlignment(sent, window) : null;
          this.#send({ audio: audio.toString('base64'), ...(alignment !== null && { alignment }) });
        },
        end: () => {
          turn.pending--;
          this.#endTurnsWhenDue();
        },
        struck: (kind, moment) => this.#struck(kind, moment),
      },
    );
  }

  #endTurn(): void {
    this.#generate();
    const turn = this.#turns.at(-1);
    if (turn !== undefined) turn.over = true;
    this.#endTurnsWhenDue();
  }

  /** A turn ends behind its last audio, in the order of the turns. */
  #endTurnsWhenDue(): void {
    for (;;) {
      const turn = this.#turns[0];
      if (turn === undefined || !turn.over || turn.pending > 0) break;
      this.#turns.shift();
      this.#send({ is_final_audio_for_turn: true });
    }
    if (!this.#finalDue || this.#turns.length > 0) return;
    const struck = this.#server.strike(this.#socket.entry, 'end');
    if (struck === undefined) this.#final();
    else this.#struck(struck, 'end');
  }

  #endInput(): void {
    this.#inputEnded = true;
    this.#idle?.cancel();
    this.#endTurn();
    this.#closing = this.#server.options.clock.after(finalMessageUs, () => {
      this.#finalDue = true;
      this.#endTurnsWhenDue();
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
      fail: (fault) => this.#fail(this.#problemOf(fault)),
    };
    strikeConversation(conversation, kind, moment);
  }

  #problemOf(kind: StandInFaultKind): SocketProblem {
    const { model } = this.#settings;
    const voice = this.#voices?.[0] ?? '';
    const problem = plantedProblem(kind, { voice, model, waitSeconds: inactivitySeconds });
    return kind === 'bad-voice' ? { ...problem, param: 'voices' } : problem;
  }

  #final(): void {
    this.#send({ is_final: true });
    this.#stop();
    this.#server.conclude(this.#socket.entry, 'answered');
    this.#closing = this.#server.options.clock.after(closeUs, () => this.#socket.close(1000));
  }

  #failInput(message: string, param?: string): void {
    const error = 'invalid_input_message';
    this.#fail({ error, message, ...(param !== undefined && { param }) });
  }

  #fail(problem: SocketProblem): void {
    this.#stop();
    failSocket(this.#socket, problem);
  }

  #send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  #restartIdleTimer(): void {
    this.#idle?.cancel();
    this.#idle = this.#server.options.clock.after(inactivitySeconds * 1e6, () => {
      this.#fail(inactivityProblem(inactivitySeconds));
    });
  }

  #stop(): void {
    this.#over = true;
    this.#idle?.cancel();
    this.#closing?.cancel();
    this.#engine.stop();
  }
}
