/**
 * The shape of a scenario file: keys, types, ranges, defaults. Conditions that join several keys,
 * and names that depend on what is installed, are in `load.ts`. The descriptions are those that editors show, and
 * `docs/scenario-reference.md` is made of them.
 */
import { z } from 'zod';
import { compatIds, serverModels } from '../server/compat-items.ts';
import {
  ignorableParameters,
  insertableMessages,
  packetLengthsMs,
} from '../server/deviation-items.ts';
import { faultMoments, standInFaultKinds } from '../stand-ins/stand-in-changes.ts';
import type { FileShape } from '../toml/file-shape.ts';
import { traceSources } from '../trace/trace-event.ts';
import { acousticLimits } from './scenario.ts';
import type { ScenarioErrorCode } from './scenario-error.ts';

/** An hour. A longer span is most likely given in the wrong unit. */
const longestMs = 3_600_000;

const text = z.string().regex(/\S/);
const spanMs = z.number().min(0).max(longestMs);
const longMs = z.number().gt(0).max(longestMs);
const within = ({ from, to }: { readonly from: number; readonly to: number }) =>
  z.number().min(from).max(to);
const names = z.array(text).default([]);
const after = z.strictObject({
  event: text.describe(
    'An event that the server sends to the board, the first of its name, or a moment of the user: "Speech" is the user’s first sample, "K0" the first press of K0.',
  ),
  delay_ms: spanMs.default(0).describe('How long after it.'),
});

/** Judged by `expectation.ts`, which knows the metrics. */
const expect = z.unknown().optional();

/** Judged by `gate.ts`. */
const gate = z.unknown().optional();

/** What can go wrong in a turn; `load.ts` has the keys that each of them has. */
export const disturbanceKinds = ['stall', 'drop', 'away', 'change', 'ping', 'message'] as const;
export type DisturbanceKind = (typeof disturbanceKinds)[number];

const disturb = z.strictObject({
  kind: z
    .enum(disturbanceKinds)
    .describe('What happens; see "Kinds of trouble" in scenarios/README.md.'),
  direction: z
    .enum(['down', 'up', 'both'])
    .optional()
    .describe('Of a stall: "down" to the board (the default), "up" to the server, "both".'),
  to: text
    .optional()
    .describe('Of a change: the name of the network, also for connections that are open.'),
  message: z
    .enum(insertableMessages)
    .optional()
    .describe(
      'Of a message: which one; its texts are empty. No board knows "Choices" and "DisplayText".',
    ),
  duration_ms: longMs
    .optional()
    .describe(
      'Of a stall. Of a change: then it is the cell’s network again (default: never). Of an absence: then the server can be reached again (default: never).',
    ),
  after: after.describe('When it starts, in the same turn.'),
});

const act = z.strictObject({
  key: z
    .enum(['k0', 'volume-up', 'volume-down'])
    .optional()
    .describe('A key of the board. Exactly one of "key" and "say".'),
  press: z
    .enum(['short', 'long'])
    .optional()
    .describe('"short" (the default) or, only for "k0", "long" (one second).'),
  say: text
    .optional()
    .describe('Said to the microphone, in no turn of its own: noise, or somebody else.'),
  after: after.describe('When, in the same turn.'),
});

/** Its count is judged by `expectation.ts`, its names by `trace-check.ts`. */
const check = z.strictObject({
  event: text.optional().describe('Type of the event. Exactly one of "event" and "console".'),
  source: z.enum(traceSources).default('device').describe('Whose event it is.'),
  with: z
    .record(text, z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('Values that fields of the event must have: { level = 4 }.'),
  console: text.optional().describe('Text that stands in a line of the board’s console.'),
  level: z.enum(['E', 'W', 'I']).optional().describe('Of the line; default: any.'),
  after: after
    .optional()
    .describe(
      'When counting begins; default: with the turn. Only in [[turn.check]]; a moment that never comes fails the check.',
    ),
  within_ms: longMs
    .optional()
    .describe('How long is counted; default: the turn. Only in [[turn.check]].'),
  count: z
    .unknown()
    .optional()
    .describe(
      'How many there must be: a number, or a comparison as in [expect]. Default: ">= 1"; 0 is absence.',
    ),
});

/** A named fault; `harness/faults` knows the keys that each of them has. */
const namedFault = z.looseObject({
  name: text.describe(
    'Of the fault; "echokit-harness faults" lists them. Its other keys are the parameters of the fault.',
  ),
});

const turn = z.strictObject({
  say: text
    .optional()
    .describe('Spoken to the microphone by the offline voice. Exactly one of "say" and "wav".'),
  wav: text
    .optional()
    .describe(
      'WAV file played at the microphone: 16-bit mono at 16 kHz, relative to the scenario file.',
    ),
  heard: text
    .optional()
    .describe(
      'What the scripted recognizer understands; default: "say", or the name of the WAV file.',
    ),
  reply: text.describe('What the assistant answers.'),
  reply_pace: z
    .strictObject({
      first_token_ms: spanMs.default(350).describe('Recognized text to first token.'),
      tokens_per_second: z.number().gt(0).max(1_000_000).default(45).describe('From then on.'),
    })
    .prefault({})
    .describe('How fast the scripted language model writes.'),
  after: after
    .optional()
    .describe(
      'When the user starts, by an event of the turn before; default: when the board listens. In the first turn only after "K0".',
    ),
  pause_ms: spanMs
    .default(300)
    .describe('Quiet between "the board listens" and the user’s first sample. Not with "after".'),
  timeout_ms: longMs.default(60_000).describe('A turn that has not ended by then has failed.'),
  act: z.array(act).default([]).describe('What the user does beside speaking.'),
  disturb: z
    .array(disturb)
    .default([])
    .describe('Trouble on the link between board and server, and with the server.'),
  fault: z.array(namedFault).default([]).describe('Named faults that happen in this turn.'),
  recover: z
    .boolean()
    .default(false)
    .describe(
      'The user presses K0, up to three times, when the board does not listen by then or is stuck with the rest of older words; without it the conversation ends with a turn that has timed out.',
    ),
  check: z
    .array(check)
    .default([])
    .describe('What must and must not be in the recording of this turn.'),
  expect: expect.describe('What must hold for this turn: metrics and comparisons.'),
});

const vad = z.strictObject({
  threshold: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('A probability above it is speech; at most 0.95 counts. Default: 0.5.'),
  neg_threshold: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('A probability below it is silence. Default: "threshold" - 0.15.'),
  min_speech_duration_ms: spanMs
    .optional()
    .describe('Less speech than this is none. Default: 400.'),
  max_silence_duration_ms: spanMs
    .optional()
    .describe('Silence after which the detector leaves speech. Default: 200.'),
  hangover_ms: spanMs.optional().describe('Silence beyond that which ends the turn. Default: 500.'),
});

const fault = z.strictObject({
  kind: z.enum(standInFaultKinds).describe('What goes wrong; see "Faults" in scenarios/README.md.'),
  request: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Only this request for speech, from 1; default: every request.'),
  moment: z
    .enum(faultMoments)
    .optional()
    .describe('How far the answer has come; default: the usual moment of the kind.'),
  after_fraction: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('The share of the clip that is sent before; only in "mid-audio". Default: 0.5.'),
});

export const scenarioSchema = z.strictObject({
  title: text.describe('One line, for reports.'),
  description: text.optional().describe('What the scenario is for.'),
  tags: names.describe('To select scenarios: run --tag, run --exclude-tag.'),
  matrix: z
    .strictObject({
      providers: names.describe(
        'Providers to compare. Empty: the eight built-in ones that are compared by default.',
      ),
      devices: names.describe(
        'Boards: "diy", "box", "cube2"; older firmware: "diy@0.2.2". Empty: "diy".',
      ),
      networks: names.describe('Links between board and server. Empty: "good-wifi".'),
      servers: z
        .array(z.enum(serverModels))
        .default([])
        .describe(
          '"harness": this program’s server; "echokit-server": it behaves as the original. Empty: "harness".',
        ),
    })
    .prefault({})
    .describe(
      'On what the scenario runs: once for every combination. The command line goes before it.',
    ),
  stand_in: z
    .strictObject({
      first_byte_ms: spanMs
        .optional()
        .describe('Median time to the first byte of audio; default: the personality’s.'),
      speed: z
        .number()
        .gt(0)
        .max(1_000_000)
        .optional()
        .describe(
          'Seconds of audio produced per second; below 1 the provider is slower than speech. Default: the personality’s.',
        ),
      lead_silence_ms: spanMs
        .optional()
        .describe('Silence in front of every clip; default: the personality’s.'),
      fault: fault.optional().describe('A failure in the provider’s own wire form.'),
      personality: z
        .record(text, text)
        .default({})
        .describe(
          'Which stand-in answers, by provider or platform: { openai = "openai-tts-1-hd" }. Default: the usual one.',
        ),
    })
    .prefault({})
    .describe(
      'How the stand-in of the provider behaves. A live run skips such a scenario and says so.',
    ),
  device: z
    .strictObject({
      quirks_off: names.describe(
        'Quirks of the firmware that the board does not have, by id: ["Q16"].',
      ),
      player_rhythm: z
        .enum(['even', 'pairs'])
        .default('even')
        .describe(
          '"pairs": the player works twice at once every 32 ms, as the DMA blocks of the boards suggest; "even": every 16 ms.',
        ),
      allow_interrupt: z
        .boolean()
        .optional()
        .describe(
          'The user holds K0 before the first turn, so that a voice interrupts the answer. Default: whether a turn has "after".',
        ),
      noise_dbfs: within(acousticLimits.noiseDbfs)
        .optional()
        .describe(
          'RMS of white noise at the microphone, always there; a full-scale square wave has 0 dBFS. Default: none.',
        ),
      echo_db: within(acousticLimits.echoDb)
        .optional()
        .describe(
          'The speaker at the microphone: gain of the room and of what the echo canceller leaves over. Default: it is not heard.',
        ),
      echo_delay_ms: within(acousticLimits.echoDelayMs)
        .optional()
        .describe(
          'From speaker to microphone, beside the 64 ms that samples stay in the board; not without "echo_db". Default: 0.',
        ),
      scheme: z
        .enum(['ws', 'wss'])
        .default('ws')
        .describe(
          'Scheme of the server’s address as it is stored on the board. The server has no TLS.',
        ),
    })
    .prefault({})
    .describe('What the board and the room are like.'),
  server: z
    .strictObject({
      asr: z
        .enum(['stream', 'submit'])
        .default('stream')
        .describe(
          '"stream": the server finds the end of speech; "submit": the board’s Submit does (old firmware).',
        ),
      recognition_ms: spanMs.default(200).describe('How long the scripted recognizer takes.'),
      asr_service: z
        .enum(['script', 'whisper', 'paraformer'])
        .default('script')
        .describe(
          '"whisper": recognition is asked for over HTTP as the EchoKit server does it, and a stand-in that knows the script answers; "paraformer": one listens on a WebSocket while the user speaks, and ends the turn.',
        ),
      llm_service: z
        .enum(['script', 'chat', 'responses'])
        .default('script')
        .describe('"chat", "responses": replies come from a chat model in the same way.'),
      hello_wav: text
        .optional()
        .describe('WAV file sent as hello on the first connection: 16-bit mono at 16 kHz.'),
      vad: vad
        .prefault({})
        .describe('The keys of [asr.vad] in an EchoKit configuration, with the same defaults.'),
      compat: z
        .literal('echokit-server')
        .optional()
        .describe('Behaves as the original; not with "servers" in [matrix].'),
      compat_except: z
        .array(z.enum(compatIds))
        .default([])
        .describe('What it does in its own way nevertheless: items of harness/server/README.md.'),
      packet_ms: z
        .literal(packetLengthsMs)
        .default(120)
        .describe('Length of an Opus packet in milliseconds.'),
      compression: z
        .boolean()
        .default(false)
        .describe('Accepts the compression that boards offer and cannot decode.'),
      ignores: z
        .array(z.enum(ignorableParameters))
        .default([])
        .describe('Parameters of the connect URL that it overlooks.'),
    })
    .prefault({})
    .describe('How the server behaves.'),
  fault: z.array(namedFault).default([]).describe('Named faults that happen in every turn.'),
  turn: z.array(turn).min(1).describe('The turns in their order, at least one.'),
  check: z
    .array(check)
    .default([])
    .describe(
      'What must and must not be in the recording: events of the trace, or lines on the console.',
    ),
  expect: expect.describe('What must hold for the whole conversation: metrics and comparisons.'),
  gate: gate.describe(
    'How much worse than before a metric may get, for comparisons: "+10%", "+50ms", "off".',
  ),
});

/** A scenario file that has the right shape, with defaults filled in. */
export type ScenarioFile = z.output<typeof scenarioSchema>;

/** How a scenario is written, for messages, its JSON Schema and its reference. */
export const scenarioShape: FileShape<ScenarioErrorCode> = {
  schema: scenarioSchema,
  codes: {
    unknownKey: 'SCENARIO_UNKNOWN_KEY',
    wrongType: 'SCENARIO_WRONG_TYPE',
    missingKey: 'SCENARIO_MISSING_KEY',
    badValue: 'SCENARIO_BAD_VALUE',
  },
  inline: new Set(['reply_pace', 'after', 'fault', 'vad', 'with']),
  examples: {
    title: 'title = "One question"',
    reply: 'reply = "It is about a quarter of a million miles away."',
    event: 'event = "StartAudio"',
    kind: 'kind = "stall"',
    key: 'key = "k0"',
    after: 'after = { event = "StartAudio", delay_ms = 600 }',
  },
  missing: { turn: 'a scenario needs at least one [[turn]]' },
};
