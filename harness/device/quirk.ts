/**
 * The quirks of the board as data: the rows of side "D" of the EchoKit device protocol reference,
 * section 10. All are there by default, as on the real board; each can be switched off by its id, to
 * see what a run would be like without it.
 */

interface QuirkText {
  readonly title: string;
  /** What the board does. */
  readonly on: string;
  /** Section of the reference that has the details. */
  readonly section: string;
}

/** A quirk that the emulated board has. */
export interface SwitchableQuirk extends QuirkText {
  readonly id: string;
  /** Its name where the code asks for it: a trait that is true while the quirk is on. */
  readonly trait: string;
  /** What it does instead when the quirk is switched off. */
  readonly off: string;
}

/** A quirk that cannot occur in the emulated board. */
export interface AbsentQuirk extends QuirkText {
  readonly id: string;
  readonly reason: string;
}

export const quirks = [
  {
    id: 'Q2',
    trait: 'restOutlivesSentence',
    title: 'The end of every sentence stays behind',
    on: 'up to 255 samples that fill no chunk are kept and begin the next sound',
    off: 'the rest is played at the end of its sentence, with zeros behind it',
    section: '6.4',
  },
  {
    id: 'Q3',
    trait: 'restOutlivesClear',
    title: 'The rest survives clearing',
    on: 'K0 and barge-in empty the queue of the player, not its rest',
    off: 'the rest is thrown away with the queue',
    section: '6.4',
  },
  {
    id: 'Q4',
    trait: 'playsHelloHeader',
    title: 'The hello begins with its file header',
    on: 'the header of the WAV file is played as sound',
    off: 'only the sound of a WAV file is played',
    section: '4.3',
  },
  {
    id: 'Q5',
    trait: 'volumeCounterIsWrong',
    title: 'The first "volume up" makes it quieter',
    on: 'the counter of the screen starts at 3, the player at full volume 5',
    off: 'the counter starts at 5, too',
    section: '5.9',
  },
  {
    id: 'Q6',
    trait: 'missesLostConnection',
    title: 'A lost connection is not noticed',
    on: 'a board that is Listening finds out with its next utterance, and restarts',
    off: 'it goes to Idle as soon as the connection is lost',
    section: '1.6, 5.7',
  },
  {
    id: 'Q7',
    trait: 'failedTriesReboot',
    title: 'K0 without a server restarts the board',
    on: 'three failed tries end in a restart, and the next K0 in set-up mode',
    off: 'after three failed tries it is Idle; it keeps the connection it had',
    section: '5.7',
  },
  {
    id: 'Q8',
    trait: 'socketWaitsForMainLoop',
    title: 'No pong while its queue is full',
    on: 'with 32 events waiting, the socket is neither read nor answered',
    off: 'the socket is read without limit and every ping answered',
    section: '1.5, 6.1',
  },
  {
    id: 'Q9',
    trait: 'reportsControlFrames',
    title: 'Ping and close are logged as errors',
    on: 'a text, ping, pong or close frame prints a line of level E',
    off: 'they print nothing',
    section: '1.5',
  },
  {
    id: 'Q10',
    trait: 'offersCompression',
    title: 'Compression is offered but not understood',
    on: 'the handshake offers permessage-deflate; a compressed frame ends the connection',
    off: 'it is not offered',
    section: '1.4',
  },
  {
    id: 'Q11',
    trait: 'secureGoesOutInClear',
    title: '`wss://` goes out in clear text',
    on: 'a `wss://` address is spoken to in plain text on port 443',
    off: 'such an address is refused without a connection',
    section: '1.2',
  },
  {
    id: 'Q12',
    trait: 'dropsAfterReplacing',
    title: 'Two connections at a time, the old one dropped',
    on: 'the second connection is opened before the first is dropped without a close frame',
    off: 'the first is closed with code 1000, then the second is opened',
    section: '1.6, 5.3',
  },
  {
    id: 'Q13',
    trait: 'givesUpWithoutRecognition',
    title: 'The 10 s rule is a secret',
    on: 'after 10 s without `ASR` the board ends the utterance and does not tell the server',
    off: 'it goes on uploading',
    section: '3.3',
  },
  {
    id: 'Q14',
    trait: 'speechOutlastsGate',
    title: 'A turn stalls when speech outlasts it',
    on: 'speech that goes on after `EndResponse` begins an utterance whose silence is not uploaded',
    off: 'an utterance always opens the gate, so silence follows the speech',
    section: '6.2',
  },
  {
    id: 'Q15',
    trait: 'anyOnsetInterrupts',
    title: 'Any onset of speech interrupts',
    on: 'audio from before the onset and silence count for the 0.6 s of barge-in',
    off: 'only unbroken speech counts',
    section: '5.6',
  },
  {
    id: 'Q16',
    trait: 'waitsForDrain',
    title: 'A gap at every sentence boundary',
    on: 'the next sentence is not read before the last one has been played',
    off: 'the next sentence is read at once; only `EndResponse` waits',
    section: '5.4, 6.5',
  },
  {
    id: 'Q17',
    trait: 'oneMessagePerCycle',
    title: 'Short frames starve the player',
    on: 'the player takes one message per cycle of 16 ms',
    off: 'it takes all that are there',
    section: '6.3, 6.5',
  },
  {
    id: 'Q18',
    trait: 'holdsSlowDownloads',
    title: 'A slow sentence switches to buffered playback',
    on: 'after a download ratio of 1 or more every sentence is played when it is complete',
    off: 'sentences are always played as they come',
    section: '5.8',
  },
  {
    id: 'Q19',
    trait: 'endsLeaveQueue',
    title: 'The end of an answer does not stop its sound',
    on: '`EndResponse` and `EndVad` leave the queue of the player alone',
    off: 'they empty it',
    section: '5.4',
  },
  {
    id: 'Q20',
    trait: 'vowelsBlockPlayer',
    title: 'A full event queue stops the player',
    on: 'the player waits for room to hand a mouth shape over; while the main loop waits for the hello, that is for ever',
    off: 'a mouth shape without room is lost',
    section: '6.1',
  },
  {
    id: 'Q21',
    trait: 'holdOutlivesInterruption',
    title: 'A held sentence survives K0 and barge-in',
    on: 'what was held back of the interrupted sentence is played before the next one',
    off: 'it is thrown away',
    section: '5.6',
  },
  {
    id: 'Q23',
    trait: 'printsPassword',
    title: 'The Wi-Fi password is printed at every boot',
    on: 'the console shows it in clear text',
    off: 'the console shows three asterisks',
    section: '8.4',
  },
  {
    id: 'Q25',
    trait: 'hearsDuringHello',
    title: 'Speech during the hello begins an utterance',
    on: 'what the microphone heard while the board connected is handled after "Ready"',
    off: 'it is thrown away',
    section: '5.3',
  },
  {
    id: 'Q26',
    trait: 'logsEveryRejectedChunk',
    title: 'The console floods while there is sound',
    on: 'every chunk that the state does not accept prints a line',
    off: 'the first one prints a line',
    section: '8.4',
  },
  {
    id: 'Q40',
    trait: 'waitsForEver',
    title: 'No time limit on handshake and hello',
    on: 'a server that accepts TCP and stays silent keeps the board waiting',
    off: 'both give up after 10 s: the try has failed, the hello counts as played',
    section: '1.4, 5.5',
  },
  {
    id: 'Q41',
    trait: 'waitsForAnswerForEver',
    title: 'Waiting has no time limit',
    on: '`EndVad` without `EndResponse` freezes the board until K0',
    off: 'after 30 s it listens again',
    section: '5.7',
  },
  {
    id: 'Q43',
    trait: 'marksHarmlessLinesAsErrors',
    title: 'Lines of level E that are no errors',
    on: 'the mute line of the box and frames that are not binary print at level E',
    off: 'they print at level I',
    section: '6.8, 8.4',
  },
] as const satisfies readonly SwitchableQuirk[];

export type QuirkId = (typeof quirks)[number]['id'];

/** Rows of section 10 that cannot be seen here, and why. */
export const absentQuirks: readonly AbsentQuirk[] = [
  {
    id: 'Q22',
    title: 'No reconnection of Wi-Fi',
    on: 'a lost association stays lost, and K0 restarts the board',
    section: '10',
    reason: 'the network begins above Wi-Fi; a link that delivers nothing has the same consequence',
  },
  {
    id: 'Q24',
    title: 'The `cube` build restarts for ever',
    on: 'an empty server URL is left in the queue and cannot be connected to',
    section: '10, 6.8',
    reason: 'there is no profile of the `cube` build, which was never released',
  },
  {
    id: 'Q27',
    title: 'A GIF of whole packets is never complete',
    on: 'in set-up mode the end of a GIF is detected by a packet shorter than 512 bytes',
    section: 'Appendix A',
    reason: 'set-up mode is a state of the model, without Bluetooth',
  },
];

export const quirkIds: readonly QuirkId[] = quirks.map(({ id }) => id);

/** What the board is like: by trait, whether it has the quirk. */
export type DeviceTraits = { readonly [Trait in (typeof quirks)[number]['trait']]: boolean };

export function traitsWithout(quirksOff: readonly QuirkId[]): DeviceTraits {
  const entries = quirks.map(({ id, trait }) => [trait, !quirksOff.includes(id)] as const);
  return Object.fromEntries(entries) as DeviceTraits;
}
