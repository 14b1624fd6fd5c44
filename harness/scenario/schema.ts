/**
 * The shape of a scenario file: keys, types, ranges, defaults. Conditions that join several keys,
 * and names that depend on what is installed, are in `load.ts`. `scenarios/README.md` explains every
 * key; a test keeps the two together.
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
const within = ({ from, to }: { readonly from: number; readonly to: number }) =>
  z.number().min(from).max(to);
const names = z.array(text).default([]);
const after = z.strictObject({ event: text, delay_ms: spanMs.default(0) });

/** Judged by `expectation.ts`, which knows the metrics. */
const expect = z.unknown().optional();

/** What can go wrong in a turn; `load.ts` has the keys that each of them has. */
export const disturbanceKinds = ['stall', 'drop', 'away', 'change', 'ping', 'message'] as const;
export type DisturbanceKind = (typeof disturbanceKinds)[number];

const disturb = z.strictObject({
  kind: z.enum(disturbanceKinds),
  direction: z.enum(['down', 'up', 'both']).optional(),
  to: text.optional(),
  message: z.enum(insertableMessages).optional(),
  duration_ms: z.number().gt(0).max(longestMs).optional(),
  after,
});

const act = z.strictObject({
  key: z.enum(['k0', 'volume-up', 'volume-down']).optional(),
  press: z.enum(['short', 'long']).optional(),
  say: text.optional(),
  after,
});

/** Its count is judged by `expectation.ts`, its names by `trace-check.ts`. */
const check = z.strictObject({
  event: text.optional(),
  source: z.enum(traceSources).default('device'),
  with: z.record(text, z.union([z.string(), z.number(), z.boolean()])).default({}),
  console: text.optional(),
  level: z.enum(['E', 'W', 'I']).optional(),
  after: after.optional(),
  within_ms: z.number().gt(0).max(longestMs).optional(),
  count: z.unknown().optional(),
});

const turn = z.strictObject({
  say: text.optional(),
  wav: text.optional(),
  heard: text.optional(),
  reply: text,
  reply_pace: z
    .strictObject({
      first_token_ms: spanMs.default(350),
      tokens_per_second: z.number().gt(0).max(1_000_000).default(45),
    })
    .prefault({}),
  after: after.optional(),
  pause_ms: spanMs.default(300),
  timeout_ms: z.number().gt(0).max(longestMs).default(60_000),
  act: z.array(act).default([]),
  disturb: z.array(disturb).default([]),
  check: z.array(check).default([]),
  expect,
});

const vad = z.strictObject({
  threshold: z.number().gt(0).max(1).optional(),
  neg_threshold: z.number().min(0).max(1).optional(),
  min_speech_duration_ms: spanMs.optional(),
  max_silence_duration_ms: spanMs.optional(),
  hangover_ms: spanMs.optional(),
});

const fault = z.strictObject({
  kind: z.enum(standInFaultKinds),
  request: z.number().int().min(1).optional(),
  moment: z.enum(faultMoments).optional(),
  after_fraction: z.number().min(0).max(1).optional(),
});

export const scenarioSchema = z.strictObject({
  title: text,
  description: text.optional(),
  tags: names,
  matrix: z
    .strictObject({
      providers: names,
      devices: names,
      networks: names,
      servers: z.array(z.enum(serverModels)).default([]),
    })
    .prefault({}),
  stand_in: z
    .strictObject({
      first_byte_ms: spanMs.optional(),
      speed: z.number().gt(0).max(1_000_000).optional(),
      lead_silence_ms: spanMs.optional(),
      fault: fault.optional(),
      personality: z.record(text, text).default({}),
    })
    .prefault({}),
  device: z
    .strictObject({
      quirks_off: names,
      player_rhythm: z.enum(['even', 'pairs']).default('even'),
      allow_interrupt: z.boolean().optional(),
      noise_dbfs: within(acousticLimits.noiseDbfs).optional(),
      echo_db: within(acousticLimits.echoDb).optional(),
      echo_delay_ms: within(acousticLimits.echoDelayMs).optional(),
      scheme: z.enum(['ws', 'wss']).default('ws'),
    })
    .prefault({}),
  server: z
    .strictObject({
      asr: z.enum(['stream', 'submit']).default('stream'),
      recognition_ms: spanMs.default(200),
      asr_service: z.enum(['script', 'whisper', 'paraformer']).default('script'),
      llm_service: z.enum(['script', 'chat', 'responses']).default('script'),
      hello_wav: text.optional(),
      vad: vad.prefault({}),
      compat: z.literal('echokit-server').optional(),
      compat_except: z.array(z.enum(compatIds)).default([]),
      packet_ms: z.literal(packetLengthsMs).default(120),
      compression: z.boolean().default(false),
      ignores: z.array(z.enum(ignorableParameters)).default([]),
    })
    .prefault({}),
  turn: z.array(turn).min(1),
  check: z.array(check).default([]),
  expect,
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
