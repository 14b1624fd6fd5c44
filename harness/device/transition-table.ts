/**
 * The state machine of the board as data: what each event does in each state (EchoKit device
 * protocol reference, section 5.2). The actions are in `device-machine.ts`.
 *
 * Two rows of the reference are missing on purpose: the mouth shapes that leave the player change
 * no state (they only restart the idle timer), and the new server URL exists on NFC boards only.
 */
import type { DeviceState } from './device-event.ts';

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
] as const;
export type MachineEventName = (typeof machineEvents)[number];

export type ActionName =
  | 'connect'
  | 'disconnect'
  | 'toggleInterrupt'
  | 'volumeUp'
  | 'volumeDown'
  | 'logIdle'
  | 'resumeServerEvents'
  | 'rejectChunk'
  | 'upload'
  | 'interruptOrReject'
  | 'logMicEnd'
  | 'showRecognized'
  | 'showAction'
  | 'startSentence'
  | 'takeAudio'
  | 'dropAudio'
  | 'endSentence'
  | 'endUtterance'
  | 'closeGate'
  | 'endResponse'
  | 'helloStart'
  | 'helloChunk'
  | 'helloEnd'
  | 'ignore';

export interface Transition {
  readonly action: ActionName;
  /** The state afterwards; absent: unchanged. */
  readonly to?: DeviceState;
  /** The action itself decides whether the state changes. */
  readonly conditional?: true;
}

type Row = { readonly [State in DeviceState]: Transition };

const everywhere = (action: ActionName, to?: DeviceState): Row => {
  const transition = to === undefined ? { action } : { action, to };
  return { Idle: transition, Listening: transition, Waiting: transition, Speaking: transition };
};

export const transitionTable: { readonly [Event in MachineEventName]: Row } = {
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
};
