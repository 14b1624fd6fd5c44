/**
 * What the EchoKit server does differently from this one, item by item (EchoKit device protocol
 * reference, sections 2.5, 4.4, 7 and 10). Pure data: names that scenarios and reports use.
 */

/** Whose behavior a server has: its own, or that of the EchoKit server. */
export const serverModels = ['harness', 'echokit-server'] as const;
export type ServerModel = (typeof serverModels)[number];

export interface CompatItem {
  readonly id: string;
  /** Of the EchoKit device protocol reference. */
  readonly section: string;
  /** Its number in section 10. */
  readonly quirk?: string;
  /** What the EchoKit server does. */
  readonly does: string;
}

export const compatItems = [
  {
    id: 'audio-blocks',
    section: '4.4',
    quirk: 'Q1',
    does: 'Audio goes on in blocks of 0.5 s, from sockets as it was received; what of a block fills no Opus packet is dropped. Raw PCM goes out block by block.',
  },
  {
    id: 'plain-requests',
    section: '7.6',
    does: 'Speech is asked for in the platform’s plain form, over HTTP as a whole WAV, and without a time limit.',
  },
  {
    id: 'whole-texts',
    section: '7.6',
    does: 'One request per sentence, on a socket of its own, also where text can be streamed in.',
  },
  {
    id: 'retries',
    section: '7.6',
    quirk: 'Q38',
    does: 'gsv is tried three times when it takes too long, CosyVoice twice after any failure; what was delivered is said again.',
  },
  {
    id: 'shared-workers',
    section: '7.6',
    does: 'Four workers speak for all boards; none of them stops for an interruption, and one that a provider keeps waiting is lost.',
  },
  {
    id: 'plain-resampling',
    section: '7.6',
    quirk: 'Q33',
    does: 'Rates are converted by linear interpolation without a filter; a stereo WAV plays at half speed.',
  },
  {
    id: 'no-time-limits',
    section: '7.7',
    does: 'A recognition or a reply that hangs is waited for, for ever.',
  },
  {
    id: 'late-end-vad',
    section: '7.3',
    does: 'EndVad is sent when the recognition is done, not when speech has ended.',
  },
  {
    id: 'no-early-text',
    section: '7.3',
    quirk: 'Q13',
    does: 'Somebody who speaks without a pause is shown no text, and after 10 s the board forgets the utterance.',
  },
  {
    id: 'interim-discarded',
    section: '7.3',
    quirk: 'Q37',
    does: 'An empty final recognition means that nothing was said, whatever the interim text was.',
  },
  {
    id: 'submit-leaks',
    section: '7.2',
    quirk: 'Q31',
    does: 'Submit mode: audio that came between two turns and the memory of the detector get into the next turn.',
  },
  {
    id: 'submit-ends-session',
    section: '2.5',
    quirk: 'Q28',
    does: 'Submit in stream mode: EndVad, EndResponse, and then the connection is open and dead.',
  },
  {
    id: 'restart-unnoticed',
    section: '7.3',
    does: 'A StartChat in mid utterance changes nothing.',
  },
  {
    id: 'record-faults',
    section: '1.8',
    quirk: 'Q32',
    does: 'Record mode: the WAV header never tells the length, a close suppresses the callback, and both published paths are wrong.',
  },
  {
    id: 'unbounded-downlink',
    section: '7.1',
    does: 'Any number of bytes waits for a slow board.',
  },
] as const satisfies readonly CompatItem[];

export type CompatId = (typeof compatItems)[number]['id'];

export const compatIds: readonly CompatId[] = compatItems.map(({ id }) => id);
