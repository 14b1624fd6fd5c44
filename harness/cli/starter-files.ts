/** What `init` writes: a small project that runs as it is. */
import { harnessConfigName } from '../harness-config/harness-config.ts';

export interface StarterFile {
  /** Relative to the folder of the project, with `/`. */
  readonly path: string;
  readonly text: string;
  /** What it is, for the list of what was written. */
  readonly what: string;
}

export interface StarterPlace {
  /** Version of this program, which the workflow is to install. */
  readonly version: string;
  /** From the folder of the project up to the root of its repository, with `/`: `../..`; empty when they are one. */
  readonly toRoot: string;
  /** The other way: `tools/voice`; empty when they are one. */
  readonly fromRoot: string;
  /** The two schemas for editors, as shipped. */
  readonly schemas: { readonly scenario: string; readonly config: string };
}

/** The line of `.gitignore` for what runs record. */
export const ignoredRuns = 'recordings/runs/';

export const starterScenario = 'scenarios/first-question.toml';

export function starterFiles({ version, toRoot, fromRoot, schemas }: StarterPlace): StarterFile[] {
  const workflow = '.github/workflows/echokit-harness.yml';
  return [
    { path: harnessConfigName, text: config, what: 'defaults of "run"' },
    { path: starterScenario, text: scenario, what: 'a conversation of two turns' },
    { path: 'scenarios/README.md', text: readme, what: 'how to run it and where to go on' },
    {
      path: '.echokit-harness/scenario.schema.json',
      text: schemas.scenario,
      what: 'for editors: keys of scenarios',
    },
    {
      path: '.echokit-harness/echokit-harness.schema.json',
      text: schemas.config,
      what: `for editors: keys of ${harnessConfigName}`,
    },
    {
      path: toRoot === '' ? workflow : `${toRoot}/${workflow}`,
      text: workflowText(version, fromRoot),
      what: 'GitHub Actions: the same run for every push and pull request',
    },
  ];
}

const config = `#:schema ./.echokit-harness/echokit-harness.schema.json
# Defaults of "echokit-harness run" for this project. The command line goes before them.

[run]
scenarios = ["scenarios"]
providers = ["openai-stream", "elevenlabs"]   # stand-ins on this machine: no key, no network
networks = ["good-wifi"]                      # also: ideal, busy-wifi, modem-sleep, weak-wifi, mobile-hotspot, far-server
# config = "config.toml"                      # an EchoKit configuration: its providers in the place of those above
`;

const scenario = `#:schema ../.echokit-harness/scenario.schema.json
title = "A first question and a second one"
description = "Is the answer heard in time, and all of it?"
tags = ["first"]

[[turn]]
say = "How far away is the moon?"
reply = "The moon is about two hundred and forty thousand miles away. Light needs a little more than a second for the trip."

[[turn]]
say = "And how far is the sun?"
reply = "The sun is about ninety three million miles away."

[expect]
turns.ok = 2
failure.kind = "none"
audible_at_speaker_ms.p95 = "<= 4000"        # last word of the user to first sound of the answer
underruns.total_ms = "<= 2500"               # silence in mid sentence
conservation.unexplained_samples = 0         # every sample of the answer is accounted for
`;

const readme = `# Voice tests

Conversations with an emulated EchoKit board, measured from the last word of the user to the first sound of the answer, with
[echokit-harness](https://www.npmjs.com/package/echokit-harness). No key, no board and no network are needed.

\`\`\`sh
npx echokit-harness run                 # every scenario, every provider
npx echokit-harness run --list          # what that would be
npx echokit-harness validate scenarios  # only check the files
\`\`\`

A scenario is a TOML file in this folder: what the user says, what the assistant answers, what must hold. Editors with the
extension "Even Better TOML" complete its keys and show what they mean.
`;

function workflowText(version: string, fromRoot: string): string {
  const below = fromRoot === '' ? '' : `${fromRoot}/`;
  const folder =
    fromRoot === ''
      ? ''
      : `    defaults:
      run:
        working-directory: ${JSON.stringify(fromRoot)}
`;
  return `# Conversations in virtual time: no key, no board, no network. Exit code 1: something expected does not hold.
name: Voice

on:
  push:
  pull_request:

permissions:
  contents: read

jobs:
  conversations:
    runs-on: ubuntu-latest
    timeout-minutes: 15
${folder}    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with:
          node-version: 22
      - name: Hold the conversations
        run: npx --yes echokit-harness@${version} run --output junit=junit.xml
      - name: Keep report and recordings
        if: \${{ !cancelled() }}
        uses: actions/upload-artifact@v4
        with:
          name: echokit-harness
          path: |
            ${below}junit.xml
            ${below}recordings/runs
          if-no-files-found: warn
`;
}
