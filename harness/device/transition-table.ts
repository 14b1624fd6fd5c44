/**
 * The state machine of the board as data: what each event does in each state (EchoKit device
 * protocol reference, section 5.2). The actions are in `device-machine.ts`.
 */
import type { DeviceState } from './device-event.ts';
import type { FirmwareGeneration } from './firmware-generation.ts';

export const deviceStates = ['Idle', 'Listening', 'Waiting', 'Speaking'] as const;

export const machineEvents = [
  'k0Short',
  'k0Long',
  'volumeUp',
  'volumeDown',
  'idleTimer',
  'sentencePlayed',
  'micChunk',
  'micEnd',
  'vowel',
  'ASR',
  'Action',
  'StartAudio',
  'audio',
  'EndAudio',
  'EndVad',
  'EndResponse',
  'HelloStart',
  'HelloChunk',
  'HelloEnd',
  'StartVideo',
  'EndVideo',
  'newServerUrl',
  'linkLost',
  'answerTimer',
] as const;
export type MachineEventName = (typeof machineEvents)[number];

/** Events that the board as it is never meets, and what it takes for them. */
export const rareEvents: { readonly [Event in MachineEventName]?: string } = {
  newServerUrl: 'a build with NFC, which is not modelled',
  linkLost: 'quirk Q6 switched off',
  answerTimer: 'quirk Q41 switched off',
};

/** Actions that take no time. */
const instantActions = [
  'logIdle',
  'resumeServerEvents',
  'rejectChunk',
  'logMicEnd',
  'takeAudio',
  'dropAudio',
  'endSentence',
  'closeGate',
  'helloStart',
  'helloChunk',
  'helloEnd',
  'ignore',
  'unreachable',
] as const;
export type InstantAction = (typeof instantActions)[number];

/** Actions that rewrite the screen, send, or wait for something. */
export type LastingAction =
  | 'connect'
  | 'disconnect'
  | 'submit'
  | 'toggleInterrupt'
  | 'volumeUp'
  | 'volumeDown'
  | 'upload'
  | 'interruptOrReject'
  | 'showMouth'
  | 'noticeLoss'
  | 'giveUpAnswer'
  | 'showRecognized'
  | 'showAction'
  | 'startSentence'
  | 'endUtterance'
  | 'endResponse';

export function isInstant(action: InstantAction | LastingAction): action is InstantAction {
  return (instantActions as readonly string[]).includes(action);
}

export interface Transition {
  readonly action: InstantAction | LastingAction;
  /** The state afterwards; absent: unchanged. */
  readonly to?: DeviceState;
  /** The action itself decides whether the state changes. */
  readonly conditional?: true;
}

export type TransitionTable = { readonly [Event in MachineEventName]: Row };

type Row = { readonly [State in DeviceState]: Transition };

const everywhere = (action: Transition['action'], to?: DeviceState): Row => {
  const transition = to === undefined ? { action } : { action, to };
  return { Idle: transition, Listening: transition, Waiting: transition, Speaking: transition };
};

/** Firmware that waits for the server to end an utterance (0.3.1 and newer). */
export const transitionTable: TransitionTable = {
  k0Short: {
    ...everywhere('connect', 'Listening'),
    Listening: { action: 'disconnect', to: 'Idle' },
  },
  k0Long: everywhere('toggleInterrupt'),
  volumeUp: everywhere('volumeUp'),
  volumeDown: everywhere('volumeDown'),
  idleTimer: { ...everywhere('logIdle'), Listening: { action: 'disconnect', to: 'Idle' } },
  sentencePlayed: everywhere('resumeServerEvents'),
  micChunk: {
    ...everywhere('rejectChunk'),
    Listening: { action: 'upload' },
    Speaking: { action: 'interruptOrReject', to: 'Listening', conditional: true },
  },
  micEnd: everywhere('logMicEnd'),
  vowel: everywhere('showMouth'),
  ASR: everywhere('showRecognized'),
  Action: everywhere('showAction'),
  StartAudio: everywhere('startSentence', 'Speaking'),
  audio: { ...everywhere('dropAudio'), Speaking: { action: 'takeAudio' } },
  EndAudio: { ...everywhere('ignore'), Speaking: { action: 'endSentence' } },
  EndVad: {
    ...everywhere('closeGate'),
    Listening: { action: 'endUtterance', to: 'Waiting' },
    Speaking: { action: 'endUtterance', to: 'Waiting' },
  },
  EndResponse: everywhere('endResponse', 'Listening'),
  HelloStart: everywhere('helloStart'),
  HelloChunk: everywhere('helloChunk'),
  HelloEnd: everywhere('helloEnd'),
  StartVideo: everywhere('ignore'),
  EndVideo: everywhere('ignore'),
  // Connect to the new address.
  newServerUrl: everywhere('unreachable', 'Idle'),
  linkLost: { ...everywhere('ignore'), Listening: { action: 'noticeLoss', to: 'Idle' } },
  answerTimer: { ...everywhere('ignore'), Waiting: { action: 'giveUpAnswer', to: 'Listening' } },
};

/**
 * Firmware that ends an utterance itself (0.2.0 to 0.3.0). Inferred: the reference only says that
 * these versions send `Submit` (section 0.3).
 */
const submittingTable: TransitionTable = {
  ...transitionTable,
  micEnd: {
    ...everywhere('logMicEnd'),
    Listening: { action: 'submit', to: 'Waiting', conditional: true },
  },
};

export function transitionsOf({ endOfUtterance }: FirmwareGeneration): TransitionTable {
  return endOfUtterance === 'server' ? transitionTable : submittingTable;
}
