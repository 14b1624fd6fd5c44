/**
 * The shape of `echokit-harness.toml`. Every key of `[run]` is an option of `run` with `_` in the place of `-`, in the plural where
 * it is a list; a test holds the two together. What decides who is asked (`--live`, `--server`, `--board`, `--replay`) is no key:
 * it stands on the command line, where the person who starts the run sees it.
 */
import { z } from 'zod';
import { serverModels } from '../server/compat-items.ts';
import type { FileShape } from '../toml/file-shape.ts';
import type { HarnessConfigErrorCode } from './harness-config-error.ts';

const text = z.string().regex(/\S/);
const names = z.array(text).min(1);

const run = z.strictObject({
  scenarios: names
    .optional()
    .describe('Scenario files, or folders whose *.toml files are run. Relative to this file.'),
  providers: names
    .optional()
    .describe('Providers to compare, in the place of those of the scenarios.'),
  devices: names
    .optional()
    .describe(
      'Boards: a built-in one such as "diy", or the file of a profile, relative to this file.',
    ),
  networks: names.optional().describe('Networks between board and server.'),
  server_models: z
    .array(z.enum(serverModels))
    .min(1)
    .optional()
    .describe('Whose behavior the server has: "harness", "echokit-server" or both.'),
  config: text
    .optional()
    .describe(
      'EchoKit config.toml whose [tts] and [providers.*] are the providers. Relative to this file.',
    ),
  time: z
    .enum(['virtual', 'real'])
    .optional()
    .describe('"virtual": simulated clock, repeatable; "real": loopback sockets.'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional()
    .describe('The same seed gives the same run, byte for byte.'),
  repeat: z
    .int()
    .min(1)
    .max(999)
    .optional()
    .describe('Hold each conversation so often, each time with draws of its own.'),
  retries: z
    .int()
    .min(0)
    .max(10)
    .optional()
    .describe(
      'Hold a conversation again that could not be judged (infra), so often at most. Default: 1; 0: never.',
    ),
  baseline: text
    .optional()
    .describe(
      'What a run must not be worse than: the name of a baseline, or a file or run, relative to this file.',
    ),
  out: text.optional().describe('Folder in which runs are recorded. Relative to this file.'),
  only: names
    .optional()
    .describe(
      'Run only conversations whose scenario file, title or name contains one of these; * is any text.',
    ),
  tags: names.optional().describe('Run only scenarios that have one of these tags.'),
  exclude_tags: names.optional().describe('Run no scenario that has one of these tags.'),
  outputs: names
    .optional()
    .describe(
      'Also write what it came to: "junit=junit.xml", "csv=turns.csv", "markdown=-" … Files are relative to this file.',
    ),
  github: z
    .boolean()
    .optional()
    .describe('On GitHub Actions: annotations and the summary of the step. Default: true.'),
  html: z
    .boolean()
    .optional()
    .describe(
      'Write report.html, the page for a browser, into the folder of the run. Default: true.',
    ),
  ledger: z
    .enum(['faulty', 'all'])
    .optional()
    .describe(
      'Show where every sample went: "faulty" for cells in which some were lost, or "all".',
    ),
  blame: z.boolean().optional().describe('Say of every underrun whose fault it was.'),
  max_requests: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('With --live: requests to real services at most.'),
  max_characters: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .optional()
    .describe('With --live: characters of text to speak at most.'),
});

export const harnessConfigSchema = z.strictObject({
  run: run.optional().describe('Defaults of the command "run". The command line goes before them.'),
  gate: z
    .unknown()
    .optional()
    .describe(
      'How much worse than a baseline a metric may get: "+10%", "+50ms", "off". Scenarios with a [gate] of their own keep theirs.',
    ),
});

/** As it is written in the file. */
export type RunDefaults = z.output<typeof run>;
export type RunKey = keyof RunDefaults;
export const runKeys = Object.keys(run.shape) as readonly RunKey[];

export const harnessConfigShape: FileShape<HarnessConfigErrorCode> = {
  schema: harnessConfigSchema,
  codes: {
    unknownKey: 'HARNESS_CONFIG_UNKNOWN_KEY',
    wrongType: 'HARNESS_CONFIG_WRONG_TYPE',
    missingKey: 'HARNESS_CONFIG_MISSING_KEY',
    badValue: 'HARNESS_CONFIG_BAD_VALUE',
  },
  inline: new Set(),
  examples: {},
};
