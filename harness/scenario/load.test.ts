import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { loadScenario, loadScenarioFile, type ScenarioCatalog } from './load.ts';
import { ScenarioError } from './scenario-error.ts';

const number = (path: string, inTurn = true) =>
  ({ path, valueType: 'number', family: { inTurn } }) as const;

const catalog: ScenarioCatalog = {
  metrics: [
    number('underruns.count'),
    number('underruns.longest_ms'),
    number('turns.failed', false),
    number('ttfb_ms.p50'),
    number('ttfb_ms.p95'),
    { path: 'failure.kind', valueType: 'text', family: { inTurn: true } },
  ],
  providers: ['openai', 'stream_gsv'],
  devices: ['diy'],
  networks: ['good-wifi'],
  quirks: ['Q2', 'Q16'],
};

const smallest = 'title = "T"\n[[turn]]\nsay = "Hi."\nreply = "Hello."\n';

function failure(text: string, file = 'scenarios/x.toml'): ScenarioError {
  try {
    loadScenario(text, file, catalog);
  } catch (error) {
    if (error instanceof ScenarioError) return error;
    throw error;
  }
  throw new Error('The scenario was accepted.');
}

/** `code line:column message` of every problem. */
function places(text: string): string[] {
  return failure(text).problems.map(
    ({ code, line, column, message }) => `${code} ${line}:${column} ${message}`,
  );
}

test('the smallest scenario gets every default', (t) => {
  t.deepEqual(loadScenario(smallest, 'folder/small-talk.toml', catalog), {
    name: 'small-talk',
    file: 'folder/small-talk.toml',
    source: { text: smallest, files: [] },
    title: 'T',
    tags: [],
    matrix: { providers: [], devices: [], networks: [], servers: [] },
    personalities: new Map(),
    standIn: {},
    device: { quirksOff: [], playerRhythm: 'even', scheme: 'ws' },
    server: {
      asr: 'stream',
      recognitionMs: 200,
      asrService: 'script',
      llmService: 'script',
      vad: {},
      model: 'harness',
      compatExcept: [],
      packetMs: 120,
      compression: false,
      ignoredParameters: [],
    },
    turns: [
      {
        number: 1,
        line: 2,
        say: 'Hi.',
        heard: 'Hi.',
        reply: 'Hello.',
        replyPace: { firstTokenMs: 350, tokensPerSecond: 45 },
        pauseMs: 300,
        timeoutMs: 60_000,
        acts: [],
        disturbances: [],
        faults: [],
        recover: false,
        expect: [],
      },
    ],
    checks: [],
    expect: [],
  });
});

test('every key arrives where the contract says', (t) => {
  const text = `title = "T"
description = "D"
tags = ["a", "b"]
[matrix]
providers = ["stream_gsv"]
devices = ["diy"]
networks = ["good-wifi"]
servers = ["harness", "echokit-server"]
[stand_in]
first_byte_ms = 2500
speed = 0.8
lead_silence_ms = 40
personality = { openai = "openai-tts-1-hd" }
fault = { kind = "cut", request = 2, after_fraction = 0.4 }
[device]
quirks_off = ["Q16"]
allow_interrupt = true
noise_dbfs = -50
echo_db = -12.5
echo_delay_ms = 20
scheme = "wss"
[server]
asr = "submit"
recognition_ms = 150
packet_ms = 20
compression = true
ignores = ["reconnect"]
[[turn]]
say = "One."
heard = "Won."
reply = "First."
reply_pace = { first_token_ms = 10, tokens_per_second = 20.5 }
pause_ms = 800
timeout_ms = 9000
[[turn.disturb]]
kind = "stall"
duration_ms = 1200
after = { event = "StartAudio", delay_ms = 600 }
[[turn.disturb]]
kind = "drop"
after = { event = "EndVad" }
[[turn.disturb]]
kind = "change"
to = "good-wifi"
duration_ms = 50
after = { event = "EndAudio" }
[[turn.disturb]]
kind = "away"
duration_ms = 9
after = { event = "EndAudio" }
[[turn.disturb]]
kind = "ping"
after = { event = "EndAudio" }
[[turn.disturb]]
kind = "message"
message = "EndVad"
after = { event = "Speech", delay_ms = 1 }
[[turn.act]]
key = "volume-up"
after = { event = "K0", delay_ms = 2 }
[[turn.act]]
say = "Well."
after = { event = "ASR" }
[[turn.check]]
event = "state"
with = { to = "Idle" }
after = { event = "K0", delay_ms = 3 }
within_ms = 400
count = 0
[turn.expect]
underruns.count = 0
[[turn]]
after = { event = "StartAudio", delay_ms = 700 }
say = "Two."
reply = "Second."
[[check]]
console = "heap"
level = "I"
[expect]
turns.failed = 0
ttfb_ms = { p50 = "> 0.5", p95 = " <= 1500 " }
"underruns.longest_ms" = "!= 16"
failure.kind = "none"
`;
  const scenario = loadScenario(text, 'x.toml', catalog);
  const at = (line: number, column: number) => ({ file: 'x.toml', line, column });
  t.deepEqual(scenario, {
    name: 'x',
    file: 'x.toml',
    source: { text, files: [] },
    title: 'T',
    description: 'D',
    tags: ['a', 'b'],
    matrix: {
      providers: ['stream_gsv'],
      devices: ['diy'],
      networks: ['good-wifi'],
      servers: ['harness', 'echokit-server'],
    },
    personalities: new Map([['openai', 'openai-tts-1-hd']]),
    standIn: {
      firstByteMs: 2500,
      speed: 0.8,
      leadSilenceMs: 40,
      fault: { kind: 'cut', request: 2, afterFraction: 0.4 },
    },
    device: {
      quirksOff: ['Q16'],
      playerRhythm: 'even',
      allowInterrupt: true,
      noiseDbfs: -50,
      echo: { db: -12.5, delayMs: 20 },
      scheme: 'wss',
    },
    server: {
      asr: 'submit',
      recognitionMs: 150,
      asrService: 'script',
      llmService: 'script',
      vad: {},
      model: 'harness',
      compatExcept: [],
      packetMs: 20,
      compression: true,
      ignoredParameters: ['reconnect'],
    },
    turns: [
      {
        number: 1,
        line: 28,
        say: 'One.',
        heard: 'Won.',
        reply: 'First.',
        replyPace: { firstTokenMs: 10, tokensPerSecond: 20.5 },
        pauseMs: 800,
        timeoutMs: 9000,
        acts: [
          {
            kind: 'key',
            key: 'volume-up',
            press: 'short',
            after: { event: 'K0', delayMs: 2 },
          },
          { kind: 'say', text: 'Well.', after: { event: 'ASR', delayMs: 0 } },
        ],
        disturbances: [
          {
            kind: 'stall',
            direction: 'down',
            durationMs: 1200,
            after: { event: 'StartAudio', delayMs: 600 },
          },
          { kind: 'drop', after: { event: 'EndVad', delayMs: 0 } },
          {
            kind: 'change',
            to: 'good-wifi',
            durationMs: 50,
            after: { event: 'EndAudio', delayMs: 0 },
          },
          { kind: 'away', durationMs: 9, after: { event: 'EndAudio', delayMs: 0 } },
          { kind: 'ping', after: { event: 'EndAudio', delayMs: 0 } },
          { kind: 'message', message: 'EndVad', after: { event: 'Speech', delayMs: 1 } },
        ],
        faults: [],
        recover: false,
        expect: [{ metric: 'underruns.count', operator: '==', value: 0, turn: 1, at: at(71, 1) }],
      },
      {
        number: 2,
        line: 72,
        say: 'Two.',
        heard: 'Two.',
        reply: 'Second.',
        replyPace: { firstTokenMs: 350, tokensPerSecond: 45 },
        after: { event: 'StartAudio', delayMs: 700 },
        pauseMs: 300,
        timeoutMs: 60_000,
        acts: [],
        disturbances: [],
        faults: [],
        recover: false,
        expect: [],
      },
    ],
    checks: [
      {
        of: { kind: 'console', text: 'heap', level: 'I' },
        operator: '>=',
        value: 1,
        at: at(77, 1),
      },
      {
        of: { kind: 'event', source: 'device', type: 'state', with: { to: 'Idle' } },
        operator: '==',
        value: 0,
        turn: 1,
        after: { event: 'K0', delayMs: 3 },
        withinMs: 400,
        at: at(65, 1),
      },
    ],
    expect: [
      { metric: 'turns.failed', operator: '==', value: 0, at: at(80, 1) },
      { metric: 'ttfb_ms.p50', operator: '>', value: 0.5, at: at(81, 13) },
      { metric: 'ttfb_ms.p95', operator: '<=', value: 1500, at: at(81, 28) },
      { metric: 'underruns.longest_ms', operator: '!=', value: 16, at: at(82, 1) },
      { metric: 'failure.kind', operator: '==', value: 'none', at: at(83, 1) },
    ],
  });
});

test('a fault in mid audio happens halfway unless it says where, others before any audio', (t) => {
  const fraction = (fault: string) =>
    loadScenario(`${smallest}[stand_in]\nfault = { ${fault} }\n`, 'x.toml', catalog).standIn.fault
      ?.afterFraction;
  t.is(fraction('kind = "stall"'), 0.5);
  t.is(fraction('kind = "stall", after_fraction = 0'), 0);
  t.is(fraction('kind = "auth"'), 0);
  t.is(fraction('kind = "server", moment = "mid-audio"'), 0.5);
  t.is(fraction('kind = "server", moment = "mid-audio", after_fraction = 0.2'), 0.2);
  t.is(fraction('kind = "stall", moment = "end"'), 0);
});

test('a fault has the moment that is given, or none', (t) => {
  const moment = (fault: string) =>
    loadScenario(`${smallest}[stand_in]\nfault = { ${fault} }\n`, 'x.toml', catalog).standIn.fault
      ?.moment;
  t.is(moment('kind = "stall"'), undefined);
  for (const name of ['answer', 'first-audio', 'mid-audio', 'end'] as const) {
    t.is(moment(`kind = "stall", moment = "${name}"`), name);
  }
  const wrong = (fault: string) =>
    places(`title = "T"\n[stand_in]\nfault = { ${fault} }\n[[turn]]\nsay = "Hi."\nreply = "Ho."\n`);
  t.deepEqual(wrong('kind = "stall", moment = "mid_audio"'), [
    'SCENARIO_BAD_VALUE 3:36 "moment" cannot be "mid_audio": did you mean "mid-audio"?',
  ]);
  t.deepEqual(wrong('kind = "stall", moment = "end", after_fraction = 0.5'), [
    'SCENARIO_BAD_VALUE 3:43 "after_fraction" means nothing at the moment "end"',
  ]);
});

test('SCENARIO_UNKNOWN_KEY: the whole text of a message', (t) => {
  const error = failure(`${smallest}reply_pase = { first_token_ms = 100 }\n`);
  t.is(error.code, 'SCENARIO_UNKNOWN_KEY');
  t.is(
    error.message,
    `scenarios/x.toml:5:1: unknown key "reply_pase" in [[turn]]: did you mean "reply_pace"?
  4 | reply = "Hello."
  5 | reply_pase = { first_token_ms = 100 }
    | ^^^^^^^^^^
  keys of [[turn]]: say, wav, heard, reply, reply_pace, after, pause_ms, timeout_ms, act, disturb, fault, recover, check, expect`,
  );
});

test('SCENARIO_UNKNOWN_KEY: in the wrong table, inside inline tables, and like nothing known', (t) => {
  t.deepEqual(
    places(
      `volume = 3\nrecognition_ms = 5\n${smallest}reply_pace = { first_token = 1, tokens_per_secnd = 2 }\n`,
    ),
    [
      'SCENARIO_UNKNOWN_KEY 1:1 unknown key "volume" at the top level',
      'SCENARIO_UNKNOWN_KEY 2:1 unknown key "recognition_ms" at the top level: it belongs in [server]',
      'SCENARIO_UNKNOWN_KEY 7:16 unknown key "first_token" in "reply_pace": did you mean "first_token_ms"?',
      'SCENARIO_UNKNOWN_KEY 7:33 unknown key "tokens_per_secnd" in "reply_pace": did you mean "tokens_per_second"?',
    ],
  );
});

test('a required key that is only misspelled is not reported as missing, too', (t) => {
  t.deepEqual(places(smallest.replace('title', 'titel')), [
    'SCENARIO_UNKNOWN_KEY 1:1 unknown key "titel" at the top level: did you mean "title"?',
  ]);
});

test('SCENARIO_SYNTAX: the place that the parser names', (t) => {
  const error = failure('title = "T"\r\n[[turn]]\r\nsay = \r\n');
  t.is(error.code, 'SCENARIO_SYNTAX');
  t.is(
    error.message,
    `scenarios/x.toml:3:7: this is not valid TOML: invalid value
  2 | [[turn]]
  3 | say =
    |       ^`,
  );
  t.deepEqual(places(`${smallest}reply = "Again."\n`), [
    'SCENARIO_SYNTAX 5:1 this is not valid TOML: trying to redefine an already defined table or value',
  ]);
});

test('SCENARIO_WRONG_TYPE: every kind of value in the wrong place', (t) => {
  t.deepEqual(
    places(`title = 5
tags = "quick"
server = 3
[matrix]
devices = ["diy", 7]
[stand_in]
speed = true
fault = { kind = 1, request = 1.5 }
[[turn]]
say = ["a"]
reply = 2026-01-02
pause_ms = { a = 1 }
`),
    [
      'SCENARIO_WRONG_TYPE 1:9 "title" must be text in quotes, not the number 5',
      'SCENARIO_WRONG_TYPE 2:8 "tags" must be a list, not text',
      'SCENARIO_WRONG_TYPE 3:10 "server" must be a table, not the number 3',
      'SCENARIO_WRONG_TYPE 5:19 every entry of "devices" must be text in quotes, not the number 7',
      'SCENARIO_WRONG_TYPE 7:9 "speed" must be a number, not true',
      'SCENARIO_WRONG_TYPE 8:18 "kind" must be text in quotes, not the number 1',
      'SCENARIO_WRONG_TYPE 8:31 "request" must be a whole number, not the number 1.5',
      'SCENARIO_WRONG_TYPE 10:7 "say" must be text in quotes, not a list',
      'SCENARIO_WRONG_TYPE 11:9 "reply" must be text in quotes, not a date',
      'SCENARIO_WRONG_TYPE 12:12 "pause_ms" must be a number, not a table',
    ],
  );
  t.deepEqual(places('title = "T"\n[turn]\nsay = "Hi."\nreply = "Hello."\n'), [
    'SCENARIO_WRONG_TYPE 2:2 "turn" is a list: write [[turn]] with two brackets',
  ]);
  t.deepEqual(places('title = "T"\nturn = [3]\nexpect = 1\n'), [
    'SCENARIO_WRONG_TYPE 2:9 "turn" must be a table below [[turn]], not the number 3',
    'SCENARIO_WRONG_TYPE 3:10 "expect" must be a table, not the number 1',
  ]);
});

test('SCENARIO_WRONG_TYPE: a number in quotes is shown without them', (t) => {
  t.is(
    failure(`${smallest}pause_ms = "300"\n`).message,
    `scenarios/x.toml:5:12: "pause_ms" must be a number, not text
  4 | reply = "Hello."
  5 | pause_ms = "300"
    |            ^^^^^
  without quotes: pause_ms = 300`,
  );
});

test('SCENARIO_MISSING_KEY: at the table that lacks it', (t) => {
  t.deepEqual(places(''), [
    'SCENARIO_MISSING_KEY 1:1 "title" is missing at the top level',
    'SCENARIO_MISSING_KEY 1:1 a scenario needs at least one [[turn]]',
  ]);
  t.deepEqual(
    places(`${smallest}[[turn.disturb]]
kind = "stall"
[[turn.disturb]]
kind = "change"
after = { event = "EndAudio" }
[[turn]]
after = { delay_ms = 5 }
`),
    [
      'SCENARIO_MISSING_KEY 5:1 "after" is missing in [[turn.disturb]]',
      'SCENARIO_MISSING_KEY 5:1 a stall needs "duration_ms" in [[turn.disturb]]',
      'SCENARIO_MISSING_KEY 7:1 a change needs "to" in [[turn.disturb]]',
      'SCENARIO_MISSING_KEY 10:1 "reply" is missing in [[turn]]',
      'SCENARIO_MISSING_KEY 10:1 [[turn]] needs "say" or "wav"',
      'SCENARIO_MISSING_KEY 11:9 "event" is missing in "after"',
    ],
  );
  t.is(
    failure('title = "T"\n[[turn]]\nsay = "Hi."\n').message,
    `scenarios/x.toml:2:1: "reply" is missing in [[turn]]
  1 | title = "T"
  2 | [[turn]]
    | ^^^^^^^^
  for example: reply = "It is about a quarter of a million miles away."`,
  );
});

test('SCENARIO_BAD_VALUE: ranges, choices and emptiness', (t) => {
  t.deepEqual(
    places(`title = " "
[stand_in]
first_byte_ms = -1
speed = 0
lead_silence_ms = inf
fault = { kind = "cutt", after_fraction = 1.01, request = 0 }
[server]
asr = "streaming"
[[turn]]
say = "Hi."
reply = "Hello."
timeout_ms = 3600001
`),
    [
      'SCENARIO_BAD_VALUE 1:9 "title" is empty',
      'SCENARIO_BAD_VALUE 3:17 "first_byte_ms" is -1; it must be at least 0',
      'SCENARIO_BAD_VALUE 4:9 "speed" is 0; it must be more than 0',
      'SCENARIO_BAD_VALUE 5:19 "lead_silence_ms" is Infinity; it must be a finite number',
      'SCENARIO_BAD_VALUE 6:18 "kind" cannot be "cutt": did you mean "cut"?',
      'SCENARIO_BAD_VALUE 6:43 "after_fraction" is 1.01; it must be at most 1',
      'SCENARIO_BAD_VALUE 6:59 "request" is 0; it must be at least 1',
      'SCENARIO_BAD_VALUE 8:7 "asr" cannot be "streaming": did you mean "stream"?',
      'SCENARIO_BAD_VALUE 12:14 "timeout_ms" is 3600001; it must be at most 3600000',
    ],
  );
  t.is(
    failure(`${smallest}[server]\nasr = "whisper"\n`).message,
    `scenarios/x.toml:6:7: "asr" cannot be "whisper"
  5 | [server]
  6 | asr = "whisper"
    |       ^^^^^^^^^
  possible values: stream, submit`,
  );
});

test('SCENARIO_BAD_VALUE: keys that exclude each other or mean nothing', (t) => {
  t.deepEqual(
    places(`title = "T"
[stand_in]
fault = { kind = "auth", after_fraction = 0.5 }
[[turn]]
after = { event = "EndAudio" }
say = "Hi."
reply = "Hello."
pause_ms = 5
[[turn.disturb]]
kind = "drop"
direction = "up"
duration_ms = 100
after = { event = "EndAudio" }
[[turn.disturb]]
kind = "change"
direction = "up"
to = "good-wifi"
after = { event = "EndAudio" }
[[turn.disturb]]
kind = "stall"
to = "good-wifi"
duration_ms = 100
after = { event = "EndAudio" }
`),
    [
      'SCENARIO_BAD_VALUE 3:26 "after_fraction" means nothing for a fault of kind "auth" at its usual moment, before any audio',
      'SCENARIO_BAD_VALUE 5:1 "after" refers to the turn before, and this is the first one',
      'SCENARIO_BAD_VALUE 8:1 "pause_ms" means nothing beside "after", which has its own "delay_ms"',
      'SCENARIO_BAD_VALUE 11:13 a drop breaks both directions',
      'SCENARIO_BAD_VALUE 12:1 "duration_ms" means nothing for a disturbance of kind "drop"',
      'SCENARIO_BAD_VALUE 16:1 "direction" means nothing for a disturbance of kind "change"',
      'SCENARIO_BAD_VALUE 21:1 "to" means nothing for a disturbance of kind "stall"',
    ],
  );
});

test('SCENARIO_BAD_VALUE: expectations that compare with the wrong thing', (t) => {
  t.deepEqual(
    places(`${smallest}[turn.expect]
turns.failed = 0
[expect]
underruns.count = "=> 2"
ttfb_ms.p50 = "<= 1500 ms"
ttfb_ms.p95 = true
failure.kind = "< auth"
underruns.longest_ms = nan
turns.failed = [0]
`),
    [
      'SCENARIO_BAD_VALUE 6:1 "turns.failed" is measured for the whole conversation, not for one turn',
      'SCENARIO_BAD_VALUE 8:19 "underruns.count" is a number and cannot be compared with "=> 2"',
      'SCENARIO_BAD_VALUE 9:15 "ttfb_ms.p50" is a number and cannot be compared with "<= 1500 ms"',
      'SCENARIO_BAD_VALUE 10:15 "ttfb_ms.p95" is a number and cannot be compared with "true"',
      'SCENARIO_BAD_VALUE 11:16 "failure.kind" is text and has no order',
      'SCENARIO_BAD_VALUE 12:24 "underruns.longest_ms" cannot be compared with NaN',
      'SCENARIO_WRONG_TYPE 13:16 "turns.failed" must be compared with a number or with text, not with a list',
    ],
  );
});

test('SCENARIO_UNKNOWN_NAME: providers, devices, networks, events and metrics', (t) => {
  t.deepEqual(
    places(`title = "T"
[matrix]
providers = [
  "openai",
  "streamgsv",
]
devices = ["toaster"]
networks = ["good wifi"]
[[turn]]
say = "Hi."
reply = "Hello."
[[turn.disturb]]
kind = "change"
to = "good-wfi"
after = { event = "StartAudoi" }
[expect]
underruns.cuont = 0
ttfb_ms = "<= 5"
[expect.failure]
reason = "none"
`),
    [
      'SCENARIO_UNKNOWN_NAME 5:3 unknown provider "streamgsv": did you mean "stream_gsv"?',
      'SCENARIO_UNKNOWN_NAME 7:12 unknown device "toaster"',
      'SCENARIO_UNKNOWN_NAME 8:13 unknown network "good wifi": did you mean "good-wifi"?',
      'SCENARIO_UNKNOWN_NAME 14:6 unknown network "good-wfi": did you mean "good-wifi"?',
      'SCENARIO_UNKNOWN_NAME 15:19 unknown event "StartAudoi": did you mean "StartAudio"?',
      'SCENARIO_UNKNOWN_NAME 17:1 unknown metric "underruns.cuont": did you mean "underruns.count"?',
      'SCENARIO_UNKNOWN_NAME 18:1 "ttfb_ms" has several values: say which, for example "ttfb_ms.p50"',
      'SCENARIO_UNKNOWN_NAME 20:1 unknown metric "failure.reason"',
    ],
  );
  t.is(
    failure(`${smallest}[expect]\nunderruns.longst_ms = 0\n`).message,
    `scenarios/x.toml:6:1: unknown metric "underruns.longst_ms": did you mean "underruns.longest_ms"?
  5 | [expect]
  6 | underruns.longst_ms = 0
    | ^^^^^^^^^^^^^^^^^^^
  metrics: underruns.count, underruns.longest_ms`,
  );
});

test('SCENARIO_UNKNOWN_NAME: personalities, and what they are chosen for', (t) => {
  const chosen = (table: string) => places(`${smallest}[stand_in]\npersonality = { ${table} }\n`);
  const good = 'openai = "kokoro-gpu", groq = "groq-throttled"';
  t.notThrows(() =>
    loadScenario(`${smallest}[stand_in]\npersonality = { ${good} }\n`, 'x.toml', catalog),
  );
  t.deepEqual(chosen('openai = "openai-tts1-hd", grok = "groq-orpheus"'), [
    'SCENARIO_UNKNOWN_NAME 6:26 unknown personality "openai-tts1-hd": did you mean "openai-tts-1-hd"?',
    'SCENARIO_UNKNOWN_NAME 6:44 unknown provider "grok": did you mean "groq"?',
  ]);
  // A personality of another platform is none of this one.
  t.deepEqual(chosen('groq = "openai-mini"'), [
    'SCENARIO_UNKNOWN_NAME 6:24 unknown personality "openai-mini"',
  ]);
  t.deepEqual(chosen('openai = 3'), [
    'SCENARIO_WRONG_TYPE 6:26 "openai" must be text in quotes, not the number 3',
  ]);
});

test('plain metric names are enough, and leave types to the judge', (t) => {
  const plain = { ...catalog, metrics: ['a.b', 'c'] };
  const text = `${smallest}[expect]\na.b = "<= 3"\nc = "!= none"\n`;
  const { expect } = loadScenario(text, 'x.toml', plain);
  t.deepEqual(
    expect.map(({ metric, operator, value }) => [metric, operator, value]),
    [
      ['a.b', '<=', 3],
      ['c', '!=', 'none'],
    ],
  );
});

function wav(rateHz: number, channels: number, bits: number, samples: readonly number[]): Buffer {
  const data = Buffer.alloc(samples.length * 2);
  samples.forEach((sample, i) => {
    data.writeInt16LE(sample, 2 * i);
  });
  const head = Buffer.alloc(44);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(rateHz, 24);
  head.writeUInt32LE((rateHz * channels * bits) / 8, 28);
  head.writeUInt16LE((channels * bits) / 8, 32);
  head.writeUInt16LE(bits, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

function inFolder<T>(
  files: { readonly [name: string]: Buffer | string },
  act: (at: string) => T,
): T {
  const folder = mkdtempSync(join(tmpdir(), 'scenario-'));
  try {
    mkdirSync(join(folder, 'audio'));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    return act(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a WAV file is found beside the scenario, and its name is what was heard', (t) => {
  inFolder({ 'audio/moon.wav': wav(16_000, 1, 16, [1, 2]) }, (folder) => {
    const text = 'title = "T"\n[[turn]]\nwav = "audio/moon.wav"\nreply = "R."\n';
    writeFileSync(join(folder, 'x.toml'), `\ufeff${text}`);
    const [turn] = loadScenarioFile(join(folder, 'x.toml'), catalog).turns;
    t.is(turn?.wav, join(folder, 'audio/moon.wav'));
    t.is(turn?.heard, 'moon');
    t.false(turn !== undefined && 'say' in turn);
  });
});

test('SCENARIO_MISSING_FILE: a WAV file that is not there, and a scenario that is not there', (t) => {
  t.is(
    failure('title = "T"\n[[turn]]\nwav = "audio/moon.wav"\nreply = "R."\n').message,
    `scenarios/x.toml:3:7: there is no file scenarios/audio/moon.wav
  2 | [[turn]]
  3 | wav = "audio/moon.wav"
    |       ^^^^^^^^^^^^^^^^
  paths are relative to the folder of the scenario file`,
  );
  const error = t.throws(() => loadScenarioFile('no-such-folder/x.toml', catalog), {
    instanceOf: ScenarioError,
  });
  t.is(error?.code, 'SCENARIO_MISSING_FILE');
  t.is(error?.message, 'no-such-folder/x.toml: the scenario cannot be read (ENOENT)');
});

test('SCENARIO_BAD_WAV: says what the file is and how to convert it', (t) => {
  inFolder({ 'moon.wav': wav(44_100, 2, 16, [1, 2]), 'hello.wav': 'ID3' }, (folder) => {
    const text = `title = "T"
[server]
hello_wav = "hello.wav"
[[turn]]
wav = "moon.wav"
reply = "R."
`;
    const error = failure(text, join(folder, 'x.toml'));
    t.deepEqual(
      error.problems.map(({ code, line, column }) => [code, line, column]),
      [
        ['SCENARIO_BAD_WAV', 3, 13],
        ['SCENARIO_BAD_WAV', 5, 7],
      ],
    );
    const [hello, moon] = error.problems;
    t.is(
      hello?.message,
      `${folder}/hello.wav must be a 16-bit mono WAV file at 16000 Hz, but it is not a WAV file`,
    );
    t.is(
      moon?.message,
      `${folder}/moon.wav must be a 16-bit mono WAV file at 16000 Hz, but it is 16-bit PCM, 44100 Hz, 2 channels`,
    );
    t.is(
      moon?.hint,
      `convert it: ffmpeg -i ${folder}/moon.wav -ac 1 -ar 16000 -c:a pcm_s16le ${folder}/moon-16k.wav`,
    );
  });
});

test('a file that is not text is refused before it is parsed', (t) => {
  inFolder({ 'x.toml': Buffer.from([0x74, 0xff, 0xfe]) }, (folder) => {
    const error = t.throws(() => loadScenarioFile(join(folder, 'x.toml'), catalog), {
      instanceOf: ScenarioError,
    });
    t.is(error?.code, 'SCENARIO_SYNTAX');
    t.is(error?.message, `${folder}/x.toml: the file is not UTF-8 text`);
  });
});

test('a file name that cannot name a folder is refused', (t) => {
  t.is(failure(smallest, 'a b.toml').problems[0]?.code, 'SCENARIO_BAD_VALUE');
  t.notThrows(() => loadScenario(smallest, '月-1.toml', catalog));
});

test('carets stand below their text after tabs and wide characters, and nothing controls the terminal', (t) => {
  const text =
    `title = "T"\n[[turn]]\nsay = "Hi."\nreply = "R."\n\treply_pace = { "月\u001b" = 1 }\n`.replace(
      '\u001b',
      '\\u001b',
    );
  t.is(
    failure(text).message,
    `scenarios/x.toml:5:17: unknown key "月␛" in "reply_pace"
  4 | reply = "R."
  5 |   reply_pace = { "月\\u001b" = 1 }
    |                  ^^^^^^^^^^
  keys of "reply_pace": first_token_ms, tokens_per_second`,
  );
});

test('[[check]] and [[turn.act]]: what is missing, misspelled or without meaning has its place', (t) => {
  t.deepEqual(
    places(`title = "T"
[server]
packet_ms = 50
[[check]]
event = "reboots"
within_ms = 5
[[check]]
event = "reboot"
level = "E"
count = "often"
[[turn]]
say = "Hi."
reply = "Hello."
[[turn.act]]
key = "volume-up"
press = "long"
after = { event = "k0" }
[[turn.act]]
after = { event = "K0" }
[[turn.disturb]]
kind = "message"
after = { event = "K0" }
[[turn.check]]
count = 1
[[turn.check]]
console = "x"
with = { a = 1 }
`),
    [
      'SCENARIO_BAD_VALUE 3:13 "packet_ms" cannot be 50',
      'SCENARIO_UNKNOWN_NAME 5:9 unknown event "reboots" of source "device": did you mean "reboot"?',
      'SCENARIO_BAD_VALUE 6:1 "within_ms" refers to a turn, and [[check]] is about them all',
      'SCENARIO_BAD_VALUE 9:1 "level" means nothing without "console"',
      'SCENARIO_BAD_VALUE 10:9 "count" is a number and cannot be compared with "often"',
      'SCENARIO_BAD_VALUE 16:9 only "k0" can be pressed long',
      'SCENARIO_UNKNOWN_NAME 17:19 unknown event "k0": did you mean "K0"?',
      'SCENARIO_MISSING_KEY 18:1 [[turn.act]] needs one of "key" and "say"',
      'SCENARIO_MISSING_KEY 20:1 a message needs "message" in [[turn.disturb]]',
      'SCENARIO_MISSING_KEY 23:1 [[turn.check]] needs one of "event" and "console"',
      'SCENARIO_BAD_VALUE 27:1 "with" means nothing without "event"',
    ],
  );
});

test('quirks that a board does without are ids that exist', (t) => {
  const device = (list: string) =>
    `title = "T"\n[device]\nquirks_off = ${list}\n[[turn]]\nsay = "Hi."\nreply = "R."\n`;
  t.deepEqual(loadScenario(device('["Q16", "Q2", "Q16"]'), 'x.toml', catalog).device, {
    quirksOff: ['Q16', 'Q2'],
    playerRhythm: 'even',
    scheme: 'ws',
  });
  const error = t.throws(() => loadScenario(device('["Q2", "Q61"]'), 'x.toml', catalog), {
    instanceOf: ScenarioError,
  });
  t.like(error?.problems, [{ code: 'SCENARIO_UNKNOWN_NAME', line: 3, column: 21 }]);
  t.regex(error?.problems[0]?.message ?? '', /unknown quirk "Q61"/);
});

test('what the microphone hears has limits, and a delay belongs to an echo', (t) => {
  const of = (keys: string) =>
    loadScenario(
      `title = "T"\n[device]\n${keys}\n[[turn]]\nsay = "Hi."\nreply = "R."\n`,
      'x.toml',
      catalog,
    ).device;
  t.deepEqual(of('echo_db = -6').echo, { db: -6, delayMs: 0 });
  t.false(of('allow_interrupt = false').allowInterrupt);
  t.deepEqual(of(''), { quirksOff: [], playerRhythm: 'even', scheme: 'ws' });
  for (const [keys, code, message] of [
    ['echo_delay_ms = 20', 'SCENARIO_BAD_VALUE', /means nothing without "echo_db"/],
    ['noise_dbfs = 3', 'SCENARIO_BAD_VALUE', /"noise_dbfs" is 3; it must be at most -12/],
    ['echo_db = -81', 'SCENARIO_BAD_VALUE', /"echo_db" is -81; it must be at least -80/],
    ['echo_db = -6\necho_delay_ms = 501', 'SCENARIO_BAD_VALUE', /must be at most 500/],
    ['allow_interrupt = "yes"', 'SCENARIO_WRONG_TYPE', /must be true or false, not text/],
    ['noise_dbf = -50', 'SCENARIO_UNKNOWN_KEY', /did you mean "noise_dbfs"\?/],
  ] as const) {
    const error = t.throws(() => of(keys), { instanceOf: ScenarioError });
    t.is(error?.problems.length, 1, keys);
    t.is(error?.problems[0]?.code, code);
    t.regex(error?.problems[0]?.message ?? '', message);
  }
});

test('[server] says when the user has finished and whose behavior it has', (t) => {
  const of = (server: string) =>
    loadScenario(
      `title = "T"\n[server]\n${server}\n[[turn]]\nsay = "Hi."\nreply = "Hello."\n`,
      'scenarios/a.toml',
      catalog,
    ).server;
  t.like(of(''), {
    asrService: 'script',
    llmService: 'script',
    vad: {},
    model: 'harness',
    compatExcept: [],
  });
  const vad = 'vad = { threshold = 0.6, neg_threshold = 0.3, hangover_ms = 800 }';
  t.deepEqual(of(vad).vad, { threshold: 0.6, negThreshold: 0.3, hangoverMs: 800 });
  const compat = 'compat = "echokit-server"\ncompat_except = ["shared-workers"]';
  t.like(of(compat), { model: 'echokit-server', compatExcept: ['shared-workers'] });
});

test('mistakes in compat are told with the possible values', (t) => {
  const problems = (toml: string) => {
    const text = `title = "T"\n${toml}\n[[turn]]\nsay = "Hi."\nreply = "Hello."\n`;
    const error = t.throws(() => loadScenario(text, 'scenarios/a.toml', catalog), {
      instanceOf: ScenarioError,
    });
    return error!.problems;
  };
  t.like(problems('[server]\ncompat = "echokit"')[0], { code: 'SCENARIO_BAD_VALUE', line: 3 });
  t.regex(
    problems('[server]\ncompat_except = ["shared-worker"]')[0]!.message,
    /did you mean "shared-workers"/,
  );
  t.regex(
    problems('[matrix]\nservers = ["harness"]\n[server]\ncompat = "echokit-server"')[0]!.message,
    /"compat" means nothing beside "servers"/,
  );
});
