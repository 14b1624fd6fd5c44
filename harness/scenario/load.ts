import { basename, dirname, extname, isAbsolute, join } from 'node:path';
import { nearestName } from '../../adapters/nearest-name.ts';
import type { PlannedFault } from '../faults/fault.ts';
import { readPlannedFault } from '../faults/planned-fault.ts';
import { personalities, personalityNames } from '../stand-ins/personality-catalog.ts';
import { isImpossibleFault } from '../stand-ins/stand-in.ts';
import {
  type FaultMoment,
  faultMoments,
  type StandInChanges,
  type StandInFaultKind,
  standInFaultKinds,
} from '../stand-ins/stand-in-changes.ts';
import { ProblemList } from '../toml/problem-list.ts';
import { reportShapeIssues } from '../toml/shape-problems.ts';
import { sourceExcerpt } from '../toml/source-excerpt.ts';
import { type KeyPath, SourceMap, type SourceRange } from '../toml/source-position.ts';
import {
  isFileError,
  parseToml,
  readTextFile,
  TextFileError,
  TomlSyntaxError,
} from '../toml/toml-document.ts';
import { type ExpectableMetric, readExpectations } from './expectation.ts';
import { type GateableMetric, type GateRule, readGateTable } from './gate.ts';
import type {
  Act,
  Disturbance,
  Expectation,
  Moment,
  Scenario,
  TraceCheck,
  Turn,
} from './scenario.ts';
import { serverEventNames, userMoments } from './scenario.ts';
import {
  ScenarioError,
  type ScenarioErrorCode,
  type ScenarioProblemList,
} from './scenario-error.ts';
import {
  type DisturbanceKind,
  disturbanceKinds,
  type ScenarioFile,
  scenarioSchema,
  scenarioShape,
} from './schema.ts';
import { readTraceChecks } from './trace-check.ts';
import { readUserWav, UserWavError } from './user-wav.ts';
import { isTable, type WrittenTable } from './written-table.ts';

const moments: readonly string[] = [...serverEventNames, ...userMoments];

/** The names that a scenario may use; what exists is known elsewhere. */
export interface ScenarioCatalog {
  /** Valid paths in `[expect]`: the metric catalog, or plain paths. */
  readonly metrics: readonly (string | ExpectableMetric)[];
  readonly providers: readonly string[];
  readonly devices: readonly string[];
  readonly networks: readonly string[];
  /** Ids of quirks that a board can do without. */
  readonly quirks: readonly string[];
  /** Of providers: whose protocols a fault must be possible in. Absent: that is not checked. */
  readonly platforms?: ReadonlyMap<string, string>;
}

/** @throws {ScenarioError} with every problem of the file. */
export function loadScenarioFile(path: string, catalog: ScenarioCatalog): Scenario {
  let text: string;
  try {
    text = readTextFile(path);
  } catch (cause) {
    if (!(cause instanceof TextFileError)) throw cause;
    if (cause.fault === undefined) {
      const message = 'the file is not UTF-8 text';
      throw new ScenarioError([{ code: 'SCENARIO_SYNTAX', file: path, message }], { cause });
    }
    const message = `the scenario cannot be read (${cause.fault})`;
    throw new ScenarioError([{ code: 'SCENARIO_MISSING_FILE', file: path, message }], { cause });
  }
  return loadScenario(text, path, catalog);
}

/**
 * @param text TOML. @param file its path: names the scenario, is named in messages, and WAV files
 * are looked up in its folder.
 * @param found where a WAV file is that the text names; default: in the folder of `file`
 * @throws {ScenarioError} with every problem of the text and of the WAV files it names.
 */
export function loadScenario(
  text: string,
  file: string,
  catalog: ScenarioCatalog,
  found: (written: string) => string = (written) => beside(file, written),
): Scenario {
  const document = text.startsWith('\ufeff') ? text.slice(1) : text;
  const raw: WrittenTable = parseScenario(document, file);
  const problems = new ProblemList<ScenarioErrorCode>(file, new SourceMap(document));
  const parsed = scenarioSchema.safeParse(raw);
  if (!parsed.success) reportShapeIssues(parsed.error.issues, raw, scenarioShape, problems);

  const name = basename(file, extname(file));
  if (!/^[\p{L}\p{N}][\p{L}\p{N}._-]*$/u.test(name)) {
    problems.add(
      'SCENARIO_BAD_VALUE',
      { start: 0, end: 0 },
      `"${name}" cannot name a recording folder`,
      'name the file with letters, digits, ".", "_" and "-", for example one-question.toml',
    );
  }
  // These look at the text as it was written, so that they also speak when the shape is wrong.
  checkNames(raw, catalog, problems);
  checkWavFiles(raw, found, problems);
  checkFault(raw, catalog, problems);
  checkNamedFaults(raw, problems);
  checkCombinations(raw, problems);
  const expect = readExpectations(
    raw.expect,
    ['expect'],
    undefined,
    catalog.metrics,
    file,
    problems,
  );
  const turnExpect = tablesOf(raw.turn).map(([turn, index]) =>
    readExpectations(
      turn.expect,
      ['turn', index, 'expect'],
      index + 1,
      catalog.metrics,
      file,
      problems,
    ),
  );
  const gates = readGateTable(
    raw.gate,
    ['gate'],
    catalog.metrics.filter(isGateableMetric),
    file,
    problems.source,
    (kind, range, message, hint) => problems.add(gateCodes[kind], range, message, hint),
  );
  const checks = readTraceChecks(raw.check, ['check'], undefined, file, problems);
  for (const [turn, index] of tablesOf(raw.turn)) {
    const path = ['turn', index, 'check'];
    checks.push(...readTraceChecks(turn.check, path, index + 1, file, problems));
  }
  const [first, ...others] = problems.problems;
  if (first !== undefined) throw new ScenarioError([first, ...others]);
  if (!parsed.success) throw new Error('A schema issue was not reported.', { cause: parsed.error });
  const source = { text: document, files: namedFiles(parsed.data, found) };
  const turnLine = (index: number): number =>
    problems.source.lineColumn(problems.source.nearest(['turn', index]).key.start).line;
  const scenario = toScenario(
    parsed.data,
    { name, file, source, turnLine, found },
    checks,
    expect,
    turnExpect,
  );
  return withGates(scenario, gates);
}

const gateCodes = {
  'unknown-metric': 'SCENARIO_UNKNOWN_NAME',
  'bad-tolerance': 'SCENARIO_BAD_VALUE',
  'wrong-type': 'SCENARIO_WRONG_TYPE',
} as const;

function isGateableMetric(
  metric: string | ExpectableMetric,
): metric is GateableMetric & ExpectableMetric {
  return typeof metric !== 'string' && 'unit' in metric;
}

function withGates(scenario: Scenario, gates: readonly GateRule[]): Scenario {
  return gates.length === 0 ? scenario : { ...scenario, gates };
}

function parseScenario(text: string, file: string): WrittenTable {
  try {
    return parseToml(text);
  } catch (cause) {
    if (!(cause instanceof TomlSyntaxError)) throw cause;
    const excerpt = sourceExcerpt(text, cause.range);
    const message = `this is not valid TOML: ${cause.message}`;
    throw new ScenarioError([{ code: 'SCENARIO_SYNTAX', file, ...cause.at, message, excerpt }], {
      cause,
    });
  }
}

function checkNames(
  raw: WrittenTable,
  catalog: ScenarioCatalog,
  problems: ScenarioProblemList,
): void {
  const unknown = (
    kind: string,
    given: string,
    range: SourceRange,
    valid: readonly string[],
    many = `${kind}s`,
  ): void => {
    const meant = nearestName(given, valid);
    problems.add(
      'SCENARIO_UNKNOWN_NAME',
      range,
      `unknown ${kind} "${given}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
      `${many}: ${valid.join(', ')}`,
    );
  };
  const check = (
    kind: string,
    given: unknown,
    path: KeyPath,
    valid: readonly string[],
    many?: string,
  ): void => {
    if (typeof given !== 'string' || given.trim() === '' || valid.includes(given)) return;
    unknown(kind, given, problems.source.nearest(path).value, valid, many);
  };
  if (isTable(raw.matrix)) {
    for (const [key, kind] of [
      ['providers', 'provider'],
      ['devices', 'device'],
      ['networks', 'network'],
    ] as const) {
      const list = raw.matrix[key];
      if (!Array.isArray(list)) continue;
      list.forEach((name, index) => {
        check(kind, name, ['matrix', key, index], catalog[key]);
      });
    }
  }
  if (isTable(raw.stand_in) && isTable(raw.stand_in.personality)) {
    const all = [...personalities().values()];
    const platforms = all.flatMap((one) => one.platforms);
    const owners = [...new Set([...platforms, ...catalog.providers])];
    for (const [owner, personality] of Object.entries(raw.stand_in.personality)) {
      const path = ['stand_in', 'personality', owner];
      if (!owners.includes(owner)) {
        const { key } = problems.source.nearest(path);
        unknown('provider', owner, key, owners, 'providers and platforms');
      }
      // The platform behind another name is not known here; the run checks it before it starts.
      const valid = platforms.includes(owner)
        ? personalityNames(owner)
        : all.map(({ name }) => name);
      check('personality', personality, path, valid, 'personalities');
    }
  }
  if (isTable(raw.device) && Array.isArray(raw.device.quirks_off)) {
    raw.device.quirks_off.forEach((id, index) => {
      check('quirk', id, ['device', 'quirks_off', index], catalog.quirks);
    });
  }
  const checkAfter = (after: unknown, path: KeyPath): void => {
    if (isTable(after)) check('event', after.event, [...path, 'event'], moments);
  };
  tablesOf(raw.turn).forEach(([turn, index]) => {
    checkAfter(turn.after, ['turn', index, 'after']);
    for (const list of ['act', 'check'] as const) {
      tablesOf(turn[list]).forEach(([item, number]) => {
        checkAfter(item.after, ['turn', index, list, number, 'after']);
      });
    }
    tablesOf(turn.disturb).forEach(([disturb, number]) => {
      const path = ['turn', index, 'disturb', number];
      checkAfter(disturb.after, [...path, 'after']);
      check('network', disturb.to, [...path, 'to'], catalog.networks);
    });
  });
}

/** Named faults, with the keys that each of them has. */
function checkNamedFaults(raw: WrittenTable, problems: ScenarioProblemList): void {
  const check = (list: unknown, path: KeyPath): void => {
    for (const [table, index] of tablesOf(list)) {
      // What has no name at all is told by the schema.
      if (typeof table.name !== 'string' || table.name.trim() === '') continue;
      const read = readPlannedFault({ ...table }, moments);
      if ('injection' in read) continue;
      for (const { code, key, ofValue, message, hint } of read) {
        const range = problems.source.nearest([...path, index, key]);
        problems.add(code, ofValue ? range.value : range.key, message, hint);
      }
    }
  };
  check(raw.fault, ['fault']);
  tablesOf(raw.turn).forEach(([turn, index]) => {
    check(turn.fault, ['turn', index, 'fault']);
  });
}

/** A fault that a named provider has no way to express would only fail its run. */
function checkFault(
  raw: WrittenTable,
  { platforms }: ScenarioCatalog,
  problems: ScenarioProblemList,
): void {
  const fault = isTable(raw.stand_in) && isTable(raw.stand_in.fault) ? raw.stand_in.fault : {};
  const named = isTable(raw.matrix) ? raw.matrix.providers : undefined;
  const { kind, moment } = fault;
  if (platforms === undefined || !Array.isArray(named) || !isFaultKind(kind)) return;
  if (moment !== undefined && !isFaultMoment(moment)) return;
  const planted = { kind, ...(isFaultMoment(moment) && { moment }) };
  const unable = named.filter((name: unknown) => {
    const platform = platforms.get(String(name));
    return platform !== undefined && isImpossibleFault(platform, planted);
  });
  if (unable.length === 0) return;
  const key = moment === undefined ? 'kind' : 'moment';
  const where = isFaultMoment(moment) ? ` at "${moment}"` : '';
  problems.add(
    'SCENARIO_BAD_VALUE',
    problems.source.nearest(['stand_in', 'fault', key]).value,
    `the protocol of ${unable.join(', ')} cannot express ${kind}${where}`,
    'harness/stand-ins/README.md has a table of what can happen when',
  );
}

function checkWavFiles(
  raw: WrittenTable,
  found: (written: string) => string,
  problems: ScenarioProblemList,
): void {
  const check = (given: unknown, keyPath: KeyPath): void => {
    if (typeof given !== 'string' || given.trim() === '') return;
    const path = found(given);
    const range = problems.source.nearest(keyPath).value;
    try {
      readUserWav(path);
    } catch (error) {
      if (error instanceof UserWavError) {
        problems.add(
          'SCENARIO_BAD_WAV',
          range,
          `${path} must be a 16-bit mono WAV file at 16000 Hz, but ${error.message}`,
          `convert it: ffmpeg -i ${quoted(path)} -ac 1 -ar 16000 -c:a pcm_s16le ${quoted(converted(path))}`,
        );
      } else if (isFileError(error)) {
        const message =
          error.code === 'ENOENT'
            ? `there is no file ${path}`
            : `${path} cannot be read (${error.code})`;
        const hint = 'paths are relative to the folder of the scenario file';
        problems.add('SCENARIO_MISSING_FILE', range, message, hint);
      } else {
        throw error;
      }
    }
  };
  if (isTable(raw.server)) check(raw.server.hello_wav, ['server', 'hello_wav']);
  tablesOf(raw.turn).forEach(([turn, index]) => {
    check(turn.wav, ['turn', index, 'wav']);
  });
}

/** Conditions that join several keys. */
function checkCombinations(raw: WrittenTable, problems: ScenarioProblemList): void {
  const { source } = problems;
  const standIn = isTable(raw.stand_in) ? raw.stand_in : {};
  const servers = isTable(raw.matrix) ? raw.matrix.servers : undefined;
  if (isTable(raw.server) && raw.server.compat !== undefined && servers !== undefined) {
    problems.add(
      'SCENARIO_BAD_VALUE',
      source.nearest(['server', 'compat']).key,
      '"compat" means nothing beside "servers" in [matrix], which names the servers',
      'leave one of them out',
    );
  }
  const device = isTable(raw.device) ? raw.device : {};
  if (device.echo_delay_ms !== undefined && device.echo_db === undefined) {
    problems.add(
      'SCENARIO_BAD_VALUE',
      source.nearest(['device', 'echo_delay_ms']).key,
      '"echo_delay_ms" means nothing without "echo_db": the microphone does not hear the speaker',
      'for example: echo_db = -12',
    );
  }
  const fault = isTable(standIn.fault) ? standIn.fault : {};
  if (fault.after_fraction !== undefined && isFaultKind(fault.kind)) {
    const add = (message: string, hint: string): void =>
      problems.add(
        'SCENARIO_BAD_VALUE',
        source.nearest(['stand_in', 'fault', 'after_fraction']).key,
        message,
        hint,
      );
    const hint = 'it belongs to moment = "mid-audio"';
    if (fault.moment === undefined && !usuallyInMidAudio.includes(fault.kind)) {
      const usual = `is usual for ${usuallyInMidAudio.join(', ')}`;
      add(
        `"after_fraction" means nothing for a fault of kind "${fault.kind}" at its usual moment, before any audio`,
        `${hint}, which ${usual}`,
      );
    } else if (isFaultMoment(fault.moment) && fault.moment !== 'mid-audio') {
      add(`"after_fraction" means nothing at the moment "${fault.moment}"`, hint);
    }
  }
  tablesOf(raw.turn).forEach(([turn, index]) => {
    const path = ['turn', index];
    const key = (name: string) => source.nearest([...path, name]).key;
    if (turn.say === undefined && turn.wav === undefined) {
      const range = source.nearest(path).value;
      const hint = 'for example: say = "How far away is the moon?"';
      problems.add('SCENARIO_MISSING_KEY', range, '[[turn]] needs "say" or "wav"', hint);
    }
    if (turn.say !== undefined && turn.wav !== undefined) {
      const hint = 'for a recording, write what it says as "heard"';
      problems.add('SCENARIO_BAD_VALUE', key('wav'), '"say" and "wav" exclude each other', hint);
    }
    const moment = isTable(turn.after) ? turn.after.event : undefined;
    if (turn.after !== undefined && index === 0 && moment !== 'K0') {
      const message = '"after" refers to the turn before, and this is the first one';
      const hint = 'use "pause_ms"; before the first turn there is only the event "K0"';
      problems.add('SCENARIO_BAD_VALUE', key('after'), message, hint);
    }
    if (turn.after !== undefined && turn.pause_ms !== undefined) {
      const message = '"pause_ms" means nothing beside "after", which has its own "delay_ms"';
      problems.add('SCENARIO_BAD_VALUE', key('pause_ms'), message);
    }
    tablesOf(turn.act).forEach(([act, number]) => {
      checkAct(act, [...path, 'act', number], problems);
    });
    tablesOf(turn.disturb).forEach(([disturb, number]) => {
      checkDisturbance(disturb, [...path, 'disturb', number], problems);
    });
  });
}

function checkDisturbance(
  disturb: WrittenTable,
  path: KeyPath,
  problems: ScenarioProblemList,
): void {
  const { source } = problems;
  const { kind } = disturb;
  if (!isDisturbanceKind(kind)) return;
  const missing = (message: string, hint: string): void =>
    problems.add('SCENARIO_MISSING_KEY', source.nearest(path).value, message, hint);
  if (kind === 'stall' && disturb.duration_ms === undefined) {
    missing('a stall needs "duration_ms" in [[turn.disturb]]', 'for example: duration_ms = 1200');
  }
  if (kind === 'change' && disturb.to === undefined) {
    missing('a change needs "to" in [[turn.disturb]]', 'for example: to = "weak-wifi"');
  }
  if (kind === 'message' && disturb.message === undefined) {
    missing('a message needs "message" in [[turn.disturb]]', 'for example: message = "EndVad"');
  }
  if (kind === 'drop' && (disturb.direction === 'up' || disturb.direction === 'down')) {
    const range = source.nearest([...path, 'direction']).value;
    const message = 'a drop breaks both directions';
    problems.add('SCENARIO_BAD_VALUE', range, message, 'leave "direction" out');
  }
  for (const name of ['direction', 'to', 'duration_ms', 'message'] as const) {
    if (disturb[name] === undefined || disturbanceKeys[kind].includes(name)) continue;
    // Both is what a drop breaks anyway.
    if (kind === 'drop' && name === 'direction') continue;
    const range = source.nearest([...path, name]).key;
    const kinds = disturbanceKinds.filter((other) => disturbanceKeys[other].includes(name));
    const message = `"${name}" means nothing for a disturbance of kind "${kind}"`;
    problems.add('SCENARIO_BAD_VALUE', range, message, `it belongs to ${kinds.join(', ')}`);
  }
}

type DisturbanceKey = 'direction' | 'to' | 'duration_ms' | 'message';

/** Keys of `[[turn.disturb]]`, beside `kind` and `after`. */
const disturbanceKeys: Readonly<Record<DisturbanceKind, readonly DisturbanceKey[]>> = {
  stall: ['direction', 'duration_ms'],
  drop: [],
  away: ['duration_ms'],
  change: ['to', 'duration_ms'],
  ping: [],
  message: ['message'],
};

function isDisturbanceKind(given: unknown): given is DisturbanceKind {
  return disturbanceKinds.some((kind) => kind === given);
}

function checkAct(act: WrittenTable, path: KeyPath, problems: ScenarioProblemList): void {
  const { source } = problems;
  if ((act.key === undefined) === (act.say === undefined)) {
    const message = '[[turn.act]] needs one of "key" and "say"';
    const hint = 'for example: key = "k0"';
    problems.add('SCENARIO_MISSING_KEY', source.nearest(path).value, message, hint);
  }
  if (act.press === 'long' && act.key !== 'k0') {
    const range = source.nearest([...path, 'press']).value;
    const message = 'only "k0" can be pressed long';
    problems.add('SCENARIO_BAD_VALUE', range, message, 'leave "press" out');
  }
}

/** Faults that happen in mid audio unless a moment is given, with every provider. */
const usuallyInMidAudio: readonly StandInFaultKind[] = ['cut', 'early-end', 'stall'];

function isFaultKind(given: unknown): given is StandInFaultKind {
  return standInFaultKinds.some((kind) => kind === given);
}

function isFaultMoment(given: unknown): given is FaultMoment {
  return faultMoments.some((moment) => moment === given);
}

/** WAV files that a scenario names, each once. */
function namedFiles(
  data: ScenarioFile,
  found: (written: string) => string,
): Scenario['source']['files'] {
  const named = [data.server.hello_wav, ...data.turn.map(({ wav }) => wav)];
  const written = new Set(named.filter((path) => path !== undefined));
  return [...written].map((path) => ({ written: path, path: found(path) }));
}

/**
 * A scenario in which nobody speaks and nothing is asked for: everything in it is what a file gets that does not mention it.
 *
 * @param file names it in messages
 */
export function silentScenario(name: string, file: string, title: string): Scenario {
  const silence = scenarioSchema.parse({ title, turn: [{ say: 'Nothing.', reply: 'Nothing.' }] });
  const source = { text: '', files: [] };
  const found = (written: string): string => written;
  const origin = { name, file, source, turnLine: () => 1, found };
  return { ...toScenario(silence, origin, [], [], []), turns: [] };
}

interface Origin extends Pick<Scenario, 'name' | 'file' | 'source'> {
  /** Line of a turn, by its index. */
  turnLine(index: number): number;
  found(written: string): string;
}

function toScenario(
  data: ScenarioFile,
  { name, file, source, turnLine, found }: Origin,
  checks: readonly TraceCheck[],
  expect: readonly Expectation[],
  turnExpect: readonly (readonly Expectation[])[],
): Scenario {
  const { asr, recognition_ms: recognitionMs, hello_wav: helloWav, vad } = data.server;
  return {
    name,
    file,
    source,
    title: data.title,
    ...(data.description !== undefined && { description: data.description }),
    tags: data.tags,
    matrix: data.matrix,
    personalities: new Map(Object.entries(data.stand_in.personality)),
    standIn: toStandIn(data.stand_in),
    device: toDevice(data.device),
    server: {
      asr,
      recognitionMs,
      asrService: data.server.asr_service,
      llmService: data.server.llm_service,
      ...(helloWav !== undefined && { helloWav: found(helloWav) }),
      vad: toEndOfSpeech(vad),
      model: data.server.compat ?? 'harness',
      compatExcept: data.server.compat_except,
      packetMs: data.server.packet_ms,
      compression: data.server.compression,
      ignoredParameters: data.server.ignores,
    },
    turns: data.turn.map((turn, index) =>
      toTurn(turn, index, turnLine(index), found, turnExpect[index] ?? [], data.fault),
    ),
    checks,
    expect,
  };
}

function toDevice(data: ScenarioFile['device']): Scenario['device'] {
  const {
    quirks_off: quirksOff,
    player_rhythm: playerRhythm,
    allow_interrupt: allowInterrupt,
    noise_dbfs: noiseDbfs,
    echo_db: echoDb,
    echo_delay_ms: echoDelayMs = 0,
  } = data;
  return {
    quirksOff: [...new Set(quirksOff)],
    playerRhythm,
    scheme: data.scheme,
    ...(allowInterrupt !== undefined && { allowInterrupt }),
    ...(noiseDbfs !== undefined && { noiseDbfs }),
    ...(echoDb !== undefined && { echo: { db: echoDb, delayMs: echoDelayMs } }),
  };
}

function toEndOfSpeech(vad: ScenarioFile['server']['vad']): Scenario['server']['vad'] {
  const written = {
    threshold: vad.threshold,
    negThreshold: vad.neg_threshold,
    minSpeechDurationMs: vad.min_speech_duration_ms,
    maxSilenceDurationMs: vad.max_silence_duration_ms,
    hangoverMs: vad.hangover_ms,
  };
  return Object.fromEntries(Object.entries(written).filter(([, value]) => value !== undefined));
}

function toStandIn(data: ScenarioFile['stand_in']): StandInChanges {
  const { first_byte_ms: firstByteMs, speed, lead_silence_ms: leadSilenceMs, fault } = data;
  return {
    ...(firstByteMs !== undefined && { firstByteMs }),
    ...(speed !== undefined && { speed }),
    ...(leadSilenceMs !== undefined && { leadSilenceMs }),
    ...(fault && {
      fault: {
        kind: fault.kind,
        ...(fault.request !== undefined && { request: fault.request }),
        ...(fault.moment !== undefined && { moment: fault.moment }),
        afterFraction: fault.after_fraction ?? (isInMidAudio(fault) ? 0.5 : 0),
      },
    }),
  };
}

function isInMidAudio({ kind, moment }: NonNullable<ScenarioFile['stand_in']['fault']>): boolean {
  return moment === undefined ? usuallyInMidAudio.includes(kind) : moment === 'mid-audio';
}

function toTurn(
  data: ScenarioFile['turn'][number],
  index: number,
  line: number,
  found: (written: string) => string,
  expect: readonly Expectation[],
  always: ScenarioFile['fault'],
): Turn {
  const { say, wav, after } = data;
  return {
    number: index + 1,
    line,
    ...(say !== undefined && { say }),
    ...(wav !== undefined && { wav: found(wav) }),
    heard: data.heard ?? say ?? basename(wav ?? '', extname(wav ?? '')),
    reply: data.reply,
    replyPace: {
      firstTokenMs: data.reply_pace.first_token_ms,
      tokensPerSecond: data.reply_pace.tokens_per_second,
    },
    ...(after && { after: toMoment(after) }),
    pauseMs: data.pause_ms,
    timeoutMs: data.timeout_ms,
    acts: data.act.map(toAct),
    disturbances: data.disturb.map(toDisturbance),
    faults: [...always, ...data.fault].map(
      (table) => readPlannedFault(table, moments) as PlannedFault,
    ),
    recover: data.recover,
    expect,
  };
}

function toMoment({ event, delay_ms: delayMs }: { event: string; delay_ms: number }): Moment {
  return { event, delayMs };
}

function toAct(data: ScenarioFile['turn'][number]['act'][number]): Act {
  const after = toMoment(data.after);
  if (data.say !== undefined) return { kind: 'say', text: data.say, after };
  return { kind: 'key', key: data.key!, press: data.press ?? 'short', after };
}

function toDisturbance(data: ScenarioFile['turn'][number]['disturb'][number]): Disturbance {
  const after = toMoment(data.after);
  const durationMs = data.duration_ms;
  switch (data.kind) {
    case 'stall':
      return { kind: 'stall', direction: data.direction ?? 'down', durationMs: durationMs!, after };
    case 'drop':
    case 'ping':
      return { kind: data.kind, after };
    case 'message':
      return { kind: 'message', message: data.message!, after };
    case 'away':
      return { kind: 'away', ...(durationMs !== undefined && { durationMs }), after };
    case 'change':
      return {
        kind: 'change',
        to: data.to!,
        ...(durationMs !== undefined && { durationMs }),
        after,
      };
  }
}

/** The tables of an array of tables with their index. */
function tablesOf(value: unknown): [WrittenTable, number][] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown, index): [WrittenTable, number][] =>
    isTable(item) ? [[item, index]] : [],
  );
}

function beside(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

function converted(path: string): string {
  return join(dirname(path), `${basename(path, extname(path))}-16k.wav`);
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
