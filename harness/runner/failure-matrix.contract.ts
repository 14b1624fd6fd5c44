/** For tests: every planted fault at every moment, with one provider after the other. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { faultMoments, standInFaultKinds } from '../stand-ins/stand-in-changes.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

/** Providers by what their protocols have in common; one test file each, so that they run side by side. */
export const matrixGroups = {
  openai: ['openai', 'openai-stream', 'openai-sse', 'openrouter', 'kokoro', 'vllm'],
  http: ['groq', 'gsv', 'stream_gsv', 'fish'],
  sockets: ['elevenlabs', 'elevenlabs-v4', 'cosyvoice', 'fish-live'],
} as const;
type ProviderName = (typeof matrixGroups)[keyof typeof matrixGroups][number];

/** Providers whose adapter hands on nothing before the answer is complete. */
const buffered: readonly string[] = ['openai', 'groq', 'gsv', 'fish'];

/**
 * The class of the failed turn, with the wait that the provider asks for; `–`: its protocol has no
 * way to express the fault at this moment. Where a cell is no copy of its row:
 * - `quota`: Groq limits the tokens of a day and says when to come back (TTS provider protocol
 *   reference, section 5.1).
 * - `bad-voice`: gsv_tts answers an unknown speaker with 200 and nothing, so all that can be known
 *   is that no audio came, and on its WAV route with the words it has for every defect (section 8).
 * - `too-long`: CosyVoice has one code for all bad values (section 9.5).
 * - `cut`: nothing had been delivered when the connection broke, or some audio had. The adapters of
 *   `openai`, `groq`, `gsv` and `fish` deliver nothing before the answer is complete, as EchoKit.
 * - `early-end` in mid audio: the answer ends as it properly does, and a placeholder in the WAV header
 *   (or raw audio) does not say how long it was meant to be. Nothing on the wire tells: the turn is ok.
 */
const matrices: Readonly<Record<ProviderName, string>> = {
  openai: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          network          network
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  'openai-stream': `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  'openai-sse': `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           server           server           server
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               truncated
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  openrouter: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  kokoro: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  vllm: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           server           server           server
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               truncated
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  groq: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       rate-limit 870s  –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          network          network
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  gsv: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   server           –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         –                –                –
    cut         network          network          network          –
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          –`,
  stream_gsv: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   –                empty            –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  fish: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit 1s    –                –                –
    bad-voice   bad-voice        –                –                –
    too-long    too-long         –                –                –
    server      server           –                –                –
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          network          network
    early-end   –                –                ok               –
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  elevenlabs: `
                answer           first-audio      mid-audio        end
    auth        auth             auth             –                –
    quota       quota            quota            quota            –
    rate-limit  rate-limit       rate-limit       –                –
    bad-voice   bad-voice        bad-voice        –                –
    too-long    –                too-long         too-long         –
    server      server           server           server           server
    timeout     timeout          timeout          timeout          –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               truncated
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  'elevenlabs-v4': `
                answer           first-audio      mid-audio        end
    auth        auth             auth             –                –
    quota       quota            quota            quota            –
    rate-limit  rate-limit       rate-limit       –                –
    bad-voice   bad-voice        bad-voice        –                –
    too-long    –                too-long         too-long         –
    server      server           server           server           server
    timeout     timeout          timeout          timeout          –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               truncated
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  cosyvoice: `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            –                –                –
    rate-limit  rate-limit       –                –                –
    bad-voice   bad-voice        bad-voice        –                –
    too-long    –                bad-request      bad-request      –
    server      server           server           server           server
    timeout     timeout          timeout          timeout          timeout
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               truncated
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
  'fish-live': `
                answer           first-audio      mid-audio        end
    auth        auth             –                –                –
    quota       quota            quota            quota            –
    rate-limit  rate-limit 1s    rate-limit       –                –
    bad-voice   –                bad-voice        –                –
    too-long    –                –                –                –
    server      server           server           server           server
    timeout     timeout          –                –                –
    protocol    protocol         protocol         protocol         protocol
    cut         network          network          truncated        truncated
    early-end   –                –                ok               truncated
    empty       –                empty            –                –
    stall       timeout          timeout          timeout          timeout`,
};

/** Undisturbed, the first answer takes one request of about this many 16 kHz samples. */
const reply = 'This answer never ends.';

/** Declares the tests of one group: a matrix for each of its providers. */
export function failureMatrix(group: keyof typeof matrixGroups): void {
  let runner: ConversationRunner;
  test.before(async () => {
    runner = await ConversationRunner.open();
  });
  test.after.always(() => runner.remove());
  for (const provider of matrixGroups[group]) {
    test.serial(
      `${provider}: at every moment a failure is what it is, keeps the audio and leaves the next turn alone`,
      async (t) => {
        const expected = cellsOf(matrices[provider]);
        const undisturbed = await converse(runner, provider);
        const whole = deliveredSamples(undisturbed);
        t.is(undisturbed.verdict.outcome, 'pass');
        const measured: string[][] = [];
        for (const [row, kind] of standInFaultKinds.entries()) {
          const cells: string[] = [];
          for (const [column, moment] of faultMoments.entries()) {
            if (expected[row]![column] === '–') {
              cells.push('–');
              continue;
            }
            const fault = `{ kind = "${kind}", request = 1, moment = "${moment}" }`;
            const conversation = await converse(runner, provider, fault);
            cells.push(classOf(conversation));
            const name = `${provider}, ${kind} at ${moment}`;
            checkTurns(t, conversation, name);
            checkAudio(t, conversation, name);
            const share = deliveredSamples(conversation) / whole;
            const { least, most } = shareDelivered(moment, provider, cells.at(-1) === 'ok');
            t.true(share >= least && share <= most, `${name}: ${share} of the audio was delivered`);
          }
          measured.push(cells);
        }
        const printed = matrixOf(measured);
        t.log(`${provider}\n${printed}`);
        t.is(printed, matrixOf(expected));
        await checkInexpressible(t, runner, provider, expected);
      },
    );
  }
}

function converse(
  runner: ConversationRunner,
  provider: string,
  fault?: string,
): Promise<RecordedConversation> {
  const scenario = scenarioOf(
    'failure',
    `
${fault === undefined ? '' : `[stand_in]\nfault = ${fault}`}

[[turn]]
say = "Go on."
reply = "${reply}"

[[turn]]
say = "Go on."
reply = "This one is heard."
`,
  );
  return runner.run(scenario, { providers: [provider] }).then(([conversation]) => conversation!);
}

function classOf({ measurement, recorded }: RecordedConversation): string {
  const [first] = measurement.turns;
  const failure = recorded.events.find((e) => e.source === 'provider' && e.type === 'failure');
  const waitMs =
    failure !== undefined && 'retryAfterMs' in failure ? failure.retryAfterMs : undefined;
  const wait = waitMs === undefined ? '' : ` ${waitMs / 1000}s`;
  return `${first?.failure?.kind ?? first?.outcome}${wait}`;
}

function deliveredSamples({ recorded }: RecordedConversation): number {
  return recorded.provider.get(1)?.length ?? 0;
}

/** Which part of the audio gets to the board, at least and at most. */
function shareDelivered(
  moment: (typeof faultMoments)[number],
  provider: string,
  isWhole: boolean,
): { readonly least: number; readonly most: number } {
  const nothing = moment === 'answer' || moment === 'first-audio';
  if (nothing || (buffered.includes(provider) && !isWhole)) return { least: 0, most: 0 };
  // A resampler holds back a few samples that only come when it is known that no more follow.
  return moment === 'mid-audio' ? { least: 0.45, most: 0.55 } : { least: 0.99, most: 1 };
}

/** The first turn ends for the board, and nothing of it is left when the second one begins. */
function checkTurns(
  t: ExecutionContext,
  { measurement, recorded, path, verdict }: RecordedConversation,
  name: string,
): void {
  const { events } = recorded;
  const [first, second] = measurement.turns;
  const failed = first?.outcome !== 'ok';
  t.is(second?.outcome, 'ok', `${name}, the turn after it: ${second?.failure?.message}`);
  t.is(verdict.outcome, failed ? 'fail' : 'pass', name);
  t.deepEqual(
    verdict.failures.filter((failure) => failure.class !== 'turn'),
    [],
    name,
  );
  // A failed turn yields no latency.
  if (failed) t.is(measurement.metrics['audible_at_speaker_ms.n'], 1, name);
  const turnEnds = events.filter((e) => e.source === 'harness' && e.type === 'turnEnd');
  t.deepEqual(
    turnEnds.map((e) => ('outcome' in e ? e.outcome : '')),
    ['finished', 'finished'],
    name,
  );
  const over = events.findIndex((e) => e.type === 'frameHandled' && e.event === 'EndResponse');
  const nextSpeech = events.findIndex((e) => e.type === 'speechStart' && e.turn === 2);
  t.true(over >= 0 && over < nextSpeech, `${name}: EndResponse before the next turn`);
  const states = events.slice(0, nextSpeech).filter((e) => e.type === 'state');
  t.is(states.at(-1)?.to, 'Listening', name);
  const firstSpeech = events.findIndex((e) => e.type === 'speechStart');
  const lost = events
    .slice(
      firstSpeech,
      events.findLastIndex((e) => e.type === 'turnEnd'),
    )
    .filter((e) => e.type === 'reboot' || e.type === 'disconnected');
  t.deepEqual(lost, [], name);
  t.false(recorded.partial, name);
  t.true(existsSync(join(path, 'manifest.toml')), name);
  t.is(measurement.end?.outcome, 'finished', name);
}

/** What was delivered before the failure is on the recording, was sent to the board and played. */
function checkAudio(t: ExecutionContext, conversation: RecordedConversation, name: string): void {
  const { measurement, recorded } = conversation;
  const { events } = recorded;
  const delivered = deliveredSamples(conversation);
  const failures = events.flatMap((e) =>
    e.source === 'provider' && e.type === 'failure' ? [e] : [],
  );
  t.is(failures.length, measurement.turns[0]?.outcome === 'ok' ? 0 : 1, name);
  for (const failure of failures) t.is(failure.deliveredSamples, delivered, name);
  const framed = events.filter((e) => e.type === 'framed' && e.turn === 1);
  const taken = framed.reduce((sum, e) => sum + ('samplesIn' in e ? e.samplesIn : 0), 0);
  t.is(taken, delivered, `${name}: delivered audio is sent to the board`);
  t.is(measurement.conservation.unexplainedSamples, 0, name);
  t.is(measurement.metrics['conservation.dropped_samples'], 0, name);
  t.is(measurement.metrics['underruns.unverified'], 0, name);
}

/** A fault that the protocol cannot express leaves the turn alone and fails the cell. */
async function checkInexpressible(
  t: ExecutionContext,
  runner: ConversationRunner,
  provider: string,
  expected: readonly (readonly string[])[],
): Promise<void> {
  const row = expected.findIndex((cells) => cells.includes('–'));
  const kind = standInFaultKinds[row]!;
  const moment = faultMoments[expected[row]!.indexOf('–')]!;
  const fault = `{ kind = "${kind}", request = 1, moment = "${moment}" }`;
  const { measurement, verdict } = await converse(runner, provider, fault);
  t.deepEqual(
    measurement.turns.map(({ outcome }) => outcome),
    ['ok', 'ok'],
  );
  t.is(verdict.outcome, 'fail');
  t.deepEqual(
    verdict.failures.map((failure) => failure.code),
    ['missed-disturbance'],
  );
  t.regex(
    verdict.failures[0]!.message,
    new RegExp(
      `^the planned fault ${kind} at "${moment}" of request 1 for speech never happened: .`,
    ),
  );
}

/** The classes of a matrix as it is written above. */
function cellsOf(matrix: string): string[][] {
  const [, ...lines] = matrix.trim().split('\n');
  return standInFaultKinds.map((kind) => {
    const line = lines.find((text) => text.trim().startsWith(`${kind} `)) ?? '';
    return line.trim().split(/ {2,}/).slice(1);
  });
}

function matrixOf(cells: readonly (readonly string[])[]): string {
  const rows = [
    ['', ...faultMoments],
    ...standInFaultKinds.map((kind, index) => [kind, ...cells[index]!]),
  ];
  const widths = [12, 17, 17, 17, 0];
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index]!))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}
