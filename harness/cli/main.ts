#!/usr/bin/env node
/**
 * The command line. Only this folder prints, exits and reads the environment; every command loads
 * what it needs when it is called, so that `--help` stays quick.
 */
import { existsSync } from 'node:fs';
import { Argument, Command, CommanderError, Option } from 'commander';
import { nearestName } from '../../adapters/nearest-name.ts';
import { type ConditionName, conditionNames } from '../comparison/comparable-run.ts';
import { acousticLimits } from '../scenario/scenario.ts';
import { secretsOfServerUrl } from '../server/access-token.ts';
import { packetLengthsMs } from '../server/deviation-items.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import type { CompletionList, CompletionShell } from './completion-script.ts';
import { describeError } from './error-message.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { harnessVersion } from './harness-version.ts';
import { liveLimits } from './live-limits.ts';
import { tokenVariable } from './open-address.ts';
import { outputKinds } from './output-kinds.ts';
import { namedAsStarted, programName } from './program-name.ts';
import { maskedTerminal, processTerminal, type Terminal } from './terminal.ts';

const startedAs = programName({
  script: process.argv[1] ?? '',
  environment: process.env,
  folder: process.cwd(),
});
const named = (text: string): string =>
  namedAsStarted(
    text,
    startedAs,
    program.commands.map((command) => command.name()),
  );
/** Tokens that stand in server URLs and options: they are shown nowhere. */
const shownSecrets = [
  ...process.argv.flatMap((word) => secretsOfServerUrl(word.replace(/^--[a-z-]+=/, ''))),
  ...process.argv.flatMap((word, i) =>
    word === '--token' ? process.argv.slice(i + 1, i + 2) : [],
  ),
  ...process.argv.flatMap((word) => /^--token=(.+)$/.exec(word)?.slice(1) ?? []),
  ...[process.env[tokenVariable] ?? ''].filter((word) => word !== ''),
];
const terminal = maskedTerminal(processTerminal(named), new SecretMask(shownSecrets));

/** @throws {CommandError} `USAGE` for a list without a name, which would mean all of them */
function names(option: string): (value: string) => string[] {
  return (value) => {
    const found = list(value);
    if (found.length > 0) return found;
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `${option} names nothing.`,
      `leave ${option} out, or name one`,
    );
  };
}

const baselineGateOption = (): Option =>
  new Option(
    '--gate <metric=tolerance>',
    'with --baseline: how much worse a metric may get, such as ttfb_ms.p50=+10%, or "off"; repeat it for several',
  ).argParser(collect);

const baselineDifferenceOption = (): Option =>
  new Option(
    '--allow-different <what>',
    `with --baseline: what may differ, separated by commas: ${conditionNames.join(', ')}`,
  ).argParser(conditions);

/** What a scenario says and no option of `run` does. */
const scenarioKeys: Readonly<Record<string, string>> = {
  '--quirks-off': 'quirks_off = ["Q2"] below [device]',
  '--noise-dbfs': 'noise_dbfs below [device]',
  '--echo-db': 'echo_db below [device]',
  '--echo-delay-ms': 'echo_delay_ms below [device]',
  '--say': 'say in each [[turn]]',
  '--personality': 'personality below [stand_in]',
};

/** Where an option belongs that the command does not have. */
function optionHint(error: string): string {
  const option = /unknown option '(--[a-z][a-z0-9-]*)/.exec(error)?.[1];
  if (option === undefined) return '';
  const all = program.commands.flatMap((command) => [command, ...command.commands]);
  const owners = all
    .filter((command) => command.options.some(({ long }) => long === option))
    .map((command) => {
      const parent = command.parent === program ? '' : `${command.parent?.name()} `;
      return `"${parent}${command.name()}"`;
    });
  const key = scenarioKeys[option];
  return [
    ...(owners.length === 0 ? [] : [`hint: ${option} is an option of ${owners.join(', ')}\n`]),
    ...(key === undefined ? [] : [`hint: for "run" it stands in the scenario: ${key}\n`]),
  ].join('');
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Milliseconds of `30s`, `500ms`, `2m` or `1h`. */
function duration(name: string): (value: string) => number {
  return (value) => {
    const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value) ?? [];
    if (digits === undefined) {
      throw new CommandError(
        'USAGE',
        exitCode.usage,
        `${name} is "${value}"; it must be a time, such as 30s, 500ms, 2m or 1h.`,
      );
    }
    const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as 'ms' | 's' | 'm' | 'h'];
    return Math.round(Number(digits) * scale);
  };
}

function whole(name: string, minimum: number, maximum: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < minimum || number > maximum) {
      throw new CommandError(
        'USAGE',
        exitCode.usage,
        `${name} is "${value}"; it must be a whole number from ${minimum} to ${maximum}.`,
      );
    }
    return number;
  };
}

/** @throws {CommandError} `USAGE` for a name that is none of a condition */
function conditions(value: string): ConditionName[] {
  return list(value).map((name) => {
    const known = conditionNames.find((one) => one === name);
    if (known !== undefined) return known;
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `--allow-different names "${name}".`,
      `what may differ: ${conditionNames.join(', ')}`,
    );
  });
}

function level(
  name: string,
  { from, to }: { readonly from: number; readonly to: number },
): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() === '' || !(number >= from && number <= to)) {
      throw new CommandError(
        'USAGE',
        exitCode.usage,
        `${name} is "${value}"; it must be a number from ${from} to ${to}.`,
      );
    }
    return number;
  };
}

const port = (fallback: number): Option =>
  new Option('--port <number>', 'port to listen on; 0 takes any free one')
    .default(fallback)
    .argParser(whole('--port', 0, 65535));

const configOption = (): Option =>
  new Option(
    '--config <file>',
    'EchoKit config.toml; its [tts] and [providers.*] are the providers',
  );

const secretOption = (): Option =>
  new Option(
    '--secret <text>',
    `replace this text wherever it stands, in every spelling; \${NAME} for a variable; repeat it for several`,
  ).argParser(collect);

const ledgerOption = (): Option =>
  new Option(
    '--ledger [of]',
    'where every sample went: the sum of all cells, and turn by turn those in which some were lost or have no cause; "all": every cell',
  )
    .choices(['faulty', 'all'])
    .preset('faulty');

const outputOption = (): Option =>
  new Option(
    '--output <kind=file>',
    `also write what it came to: ${outputKinds.join(', ')}; "-" is standard output; repeat it for several`,
  ).argParser(collect);

const retriesOption = (): Option =>
  new Option(
    '--retries <times>',
    'in real time: hold a conversation again that could not be judged (infra), so often at most; what failed is not repeated; default: 1',
  ).argParser(whole('--retries', 0, 10));

const noGithubOption = (): Option =>
  new Option(
    '--no-github',
    'on GitHub Actions: no annotations on the scenarios and no summary of the step',
  );

const maxRequests = (): Option =>
  new Option(
    '--max-requests <number>',
    `with --live: requests to real services at most; default: ${liveLimits.requests}`,
  ).argParser(whole('--max-requests', 1, 1_000_000));

const maxCharacters = (): Option =>
  new Option(
    '--max-characters <number>',
    `with --live: characters of text to speak at most; default: ${liveLimits.characters}`,
  ).argParser(whole('--max-characters', 1, 1_000_000_000));

/** The action of a command that is about one recording. */
function ofRecording<Options extends { readonly version: string }>(
  load: () => Promise<(terminal: Terminal, path: string, options: Options) => Promise<number>>,
) {
  return async (path: string, given: Omit<Options, 'version'>): Promise<void> => {
    const command = await load();
    const options = { ...given, version: harnessVersion() } as Options;
    process.exitCode = await command(terminal, path, options);
  };
}

/**
 * `run` is what is meant without a command, so a command that is misspelled looks like a scenario.
 *
 * @throws {CommandError} `USAGE` for one word that is neither
 */
function checkCommandWord([word = '']: readonly string[]): void {
  if (word !== process.argv[2] || !/^[a-z-]+$/.test(word) || existsSync(word)) return;
  const commands = program.commands.map((command) => command.name());
  const meant = nearestName(word, commands);
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `There is no command "${word}"${meant === undefined ? '.' : `; did you mean "${meant}"?`}`,
    'echokit-harness --help has all commands; scenarios are named as files, such as scenarios/two-turns.toml',
  );
}

const program = new Command('echokit-harness')
  .description(
    'Simulator and test harness for EchoKit voice boards: scripted conversations with an ' +
      'emulated board, measured from the last word of the user to the first sound of the answer.',
  )
  .version(harnessVersion())
  .showHelpAfterError('(add --help to see what is possible)')
  .configureOutput({
    writeOut: (text) => void process.stdout.write(named(text)),
    writeErr: (text) => void process.stderr.write(named(text)),
    outputError: (text, write) => write(`${text}${optionHint(text)}`),
  })
  .exitOverride();

program
  .command('run', { isDefault: true })
  .description('run scenarios and compare the providers')
  .argument(
    '[scenario...]',
    'scenario files, or folders whose *.toml files are run; default: scenarios',
  )
  .option(
    '--provider <names>',
    'providers, separated by commas; default: those of --config, else what the scenario says',
    names('--provider'),
  )
  .addOption(configOption())
  .option(
    '--device <names>',
    'boards, separated by commas; a *.toml is a profile of calibrate',
    names('--device'),
  )
  .option('--network <names>', 'networks, separated by commas', names('--network'))
  .option(
    '--server-model <names>',
    'harness, echokit-server or both: whose behavior the server has; default: what the scenario says',
    names('--server-model'),
  )
  .option(
    '--server <url>',
    'drive another EchoKit server, ws://host:port/ws/, in real time; its providers are its own',
  )
  .option(
    '--board <name>',
    'a real board in place of the emulated one: its name in boards.toml, its port, rfc2217://host:port or socket://host:port',
  )
  .option('--registry <file>', 'with --board: boards.toml, as in "boards"')
  .option(
    '--server-address <host:port>',
    'with --board: where the board finds this machine; default: the URL that it prints when it boots',
  )
  .addOption(
    new Option(
      '--speak <how>',
      'with --board: who says the words of the user; default: loudspeaker, when a program can play',
    ).choices(['loudspeaker', 'person']),
  )
  .addOption(
    new Option(
      '--wiring <kind>',
      'with --board: how its cable reaches the chip, where the port does not tell (rfc2217://)',
    ).choices(['bridge', 'usb-jtag']),
  )
  .option(
    '--room-capture',
    'with --board: record the room with a microphone of this machine, and find when user and answer were really heard',
  )
  .option(
    '--room-program <command>',
    'the same by this command: 16-bit little-endian mono at 16 kHz on its standard output',
  )
  .addOption(
    new Option(
      '--link <kind>',
      'with --board: its firmware has the serial link, and server, keys and words go through the cable; default: Wi-Fi',
    ).choices(['serial']),
  )
  .addOption(
    new Option('--baud <rate>', 'with --link: of the link; default: 115200').argParser(
      whole('--baud', 300, 4_000_000),
    ),
  )
  .option('--reset <strategy>', 'with --board: how it is reset, such as "D0|R1|W0.1|R0", or none')
  .option(
    '--twin',
    'with --board: how much later (+) or earlier (-) than its model the board printed each line that both must print',
  )
  .addOption(
    new Option(
      '--time <mode>',
      'virtual: simulated clock, repeatable; real: loopback sockets; default: virtual, with --live, --server or --board real',
    ).choices(['virtual', 'real']),
  )
  .option(
    '--replay <recording>',
    'the recording of one conversation answers in the place of the provider',
  )
  .option(
    '--refresh',
    'with --replay and --live: when a request differs from the recording, record the conversation anew; else send nothing',
  )
  .addOption(
    new Option('--seed <number>', 'the same seed gives the same run, byte for byte')
      .default(1)
      .argParser(whole('--seed', 0, 2 ** 31 - 1)),
  )
  .option(
    '--live',
    'speak with the real services of --provider or --config; their keys come from the configuration or the environment',
  )
  .addOption(maxRequests())
  .addOption(maxCharacters())
  .option('--out <folder>', 'where runs are recorded', 'recordings/runs')
  .addOption(ledgerOption())
  .option('--blame', 'say of every underrun whose fault it was, and what shows it')
  .option(
    '--only <pattern>',
    'conversations whose scenario file, title or name contains this text; * is any text; repeat it for several',
    collect,
  )
  .option('--tag <names>', 'scenarios with one of these tags, separated by commas', names('--tag'))
  .option(
    '--exclude-tag <names>',
    'no scenarios with one of these tags, separated by commas',
    names('--exclude-tag'),
  )
  .addOption(
    new Option(
      '--repeat <times>',
      'hold each conversation so often, each time with draws of its own; in real time interleaved; default: 1',
    ).argParser(whole('--repeat', 1, 999)),
  )
  .addOption(retriesOption())
  .addOption(secretOption())
  .addOption(
    new Option(
      '--devices <count>',
      'a load run: so many boards at once, in real time unless --time says otherwise; counted, not recorded',
    ).argParser(whole('--devices', 1, 100_000)),
  )
  .addOption(
    new Option(
      '--ramp <time>',
      'with --devices: how long it takes to switch them on, such as 30s; default: 10s',
    ).argParser(duration('--ramp')),
  )
  .addOption(
    new Option(
      '--for <time>',
      'with --devices: how long it goes on behind that; default: 60s',
    ).argParser(duration('--for')),
  )
  .addOption(
    new Option(
      '--turns <count>',
      'with --devices: each board stops after so many turns; default: with the time',
    ).argParser(whole('--turns', 1, 1_000_000)),
  )
  .addOption(
    new Option(
      '--pause <time>',
      'with --devices: quiet between two conversations of a board, on average; default: 1s',
    ).argParser(duration('--pause')),
  )
  .option(
    '--threshold <rule>',
    'with --devices: what must hold, such as late_cycles<1%; repeat it for several; default: late_cycles<1%, failed<1%, refused<=0, foreign_voices<=0',
    collect,
  )
  .option(
    '--find-limit',
    'with --devices: begin with so many boards, and find how many hold the thresholds',
  )
  .option(
    '--no-check-voices',
    'with --devices: speak answers as they are; otherwise each board is answered in a voice of its own, and none may hear another one',
  )
  .option(
    '--shard <i/n>',
    'run one of n parts of about the same length, each conversation in one of them; "merge" joins them',
  )
  .option(
    '--durations <run>',
    'with --shard: run or report.json that tells how long conversations are; default: their scripts',
  )
  .option(
    '--baseline <name>',
    'what the run must not be worse than: a name of baselines/, a file, another run; gates decide, see "compare"',
  )
  .addOption(baselineGateOption())
  .addOption(baselineDifferenceOption())
  .option('--list', 'show the conversations that would be held and about how long they take')
  .option(
    '--harness-config <file>',
    'defaults of these options; default: echokit-harness.toml here or above, up to the root of the repository',
  )
  .option('--no-harness-config', 'no defaults but those of this help')
  .addOption(outputOption())
  .addOption(noGithubOption())
  .option('--json', 'print the report as one JSON document instead of the table')
  .option('--no-html', 'do not write report.html, the page for a browser')
  .option('--quiet', 'no progress on stderr')
  .option('--verbose', 'every event of a conversation on stderr when it happens')
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness run                                  the shipped scenarios, every provider
  echokit-harness run scenarios/long-answer.toml --provider openai,elevenlabs
  echokit-harness run --time real --provider stream_gsv scenarios/one-question.toml
  echokit-harness run --server-model harness,echokit-server   before and after, side by side
  echokit-harness run --config config.toml             your own providers, against their stand-ins
  OPENAI_API_KEY=… echokit-harness run --live --provider openai scenarios/one-question.toml
  echokit-harness run --server ws://127.0.0.1:8080/ws/ scenarios/one-question.toml
  echokit-harness run --board kitchen scenarios/two-turns.toml --provider openai --twin
  echokit-harness run --board kitchen --link serial --baud 921600 scenarios/two-turns.toml
  echokit-harness run --replay recordings/runs/<run>/cells/<cell> --live --refresh --config config.toml
  echokit-harness run --json | jq '.cells[].metrics.ttfa_ms.p50'
  echokit-harness run --shard 2/8 --out part-2              the second of eight machines; then merge
  echokit-harness run --output junit=results.xml --output trace=perfetto.json
  echokit-harness run --only long-answer --only 'two-turns*eleven' --list
  echokit-harness run scenarios/failures --exclude-tag slow
  echokit-harness run --repeat 20 --baseline main
  echokit-harness run --devices 200 --ramp 30s --provider elevenlabs --threshold 'late_cycles<1%'

Exit codes: 0 passed, 1 an expectation failed, 2 usage or scenario error, or not to be compared with the baseline,
            3 worse than the baseline, 4 environment, 5 nothing matched, 70 a defect of this program, 130 interrupted.`,
  )
  .action(async (written: string[], given, command: Command) => {
    checkCommandWord(written);
    const { configuredRun } = await import('./configured-run.ts');
    const isWritten = (name: string): boolean => command.getOptionValueSource(name) === 'cli';
    const { paths, options, defaults } = configuredRun(written, given, isWritten, process.cwd());
    const { runCommand } = await import('./run-command.ts');
    process.exitCode = await runCommand(terminal, paths, {
      ...(options as typeof given),
      ...(defaults !== undefined && { configured: defaults }),
      version: harnessVersion(),
    });
  });

program
  .command('replay')
  .description(
    'hold a recorded conversation again: the recording answers in the place of the provider',
  )
  .argument('<recording>', 'a run, a recording of one conversation, or a bundle')
  .addOption(
    new Option('--time <mode>', 'virtual: exact; real: as exact as this computer can')
      .choices(['virtual', 'real'])
      .default('virtual'),
  )
  .option('--device <board>', 'what if it were this board; a *.toml is a profile of calibrate')
  .option('--network <name>', 'what if it were this network')
  .addOption(
    new Option(
      '--prebuffer <ms>',
      'what if the player began a sentence only when so much of it is queued, or all of it',
    ).argParser(whole('--prebuffer', 0, 60_000)),
  )
  .addOption(
    new Option(
      '--opus-frame <ms>',
      `what if Opus packets were so long: ${packetLengthsMs.join(', ')}`,
    ).argParser((value) => {
      const ms = packetLengthsMs.find((length) => String(length) === value);
      if (ms !== undefined) return ms;
      throw new CommandError(
        'USAGE',
        exitCode.usage,
        `There are no Opus packets of "${value}" ms.`,
        `choose one of ${packetLengthsMs.join(', ')}`,
      );
    }),
  )
  .option(
    '--blame',
    'say of every underrun whose fault it was; when nothing is changed, of the recording as it is',
  )
  .option(
    '--prebuffer-curve',
    'what each prebuffer would have changed, for each provider on each network; nothing is run',
  )
  .addOption(retriesOption())
  .option('--out <folder>', 'where runs are recorded', 'recordings/runs')
  .addOption(ledgerOption())
  .addOption(outputOption())
  .addOption(noGithubOption())
  .option('--json', 'print the report as one JSON document instead of the table')
  .option('--no-html', 'do not write report.html, the page for a browser')
  .option('--quiet', 'no progress on stderr')
  .addHelpText(
    'after',
    `
A request that is not the recorded one fails, with what differs. Credentials, dates and random ids do not count.

Examples:
  echokit-harness replay recordings/runs/<run>
  echokit-harness replay recordings/runs/<run>/cells/<cell> --json
  echokit-harness replay bundle.zip --blame
  echokit-harness replay recordings/runs/<run> --device box --network modem-sleep --prebuffer 240 --opus-frame 60
  echokit-harness replay recordings/runs/<run> --prebuffer-curve --blame

Exit codes: 0 as recorded, 1 a request differed or an expectation failed, 4 the recording cannot be read.`,
  )
  .action(ofRecording(async () => (await import('./replay-command.ts')).replayCommand));

program
  .command('record')
  .description(
    'stands between an EchoKit server and its provider, or a board and its server, and records',
  )
  .option('--provider <name>', 'the provider of the server; default: the first of --config')
  .addOption(configOption())
  .option('--server <url>', 'the server of a board, ws://host:port/ws/')
  .option('--board <name>', 'model of the board, for what cannot be seen from outside', 'diy')
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .addOption(port(9300))
  .option('--out <folder>', 'where runs are recorded', 'recordings/runs')
  .option('--live', 'pass on what goes to a provider on another machine')
  .addOption(secretOption())
  .addHelpText(
    'after',
    `
Prints the addresses to use in the place of the real ones, and records until Ctrl-C.

Examples:
  echokit-harness record --live --config config.toml           between that server and its provider
  echokit-harness record --server ws://192.168.1.5:8080/ws/ --host 0.0.0.0     between a board and that server
  echokit-harness run --replay recordings/runs/<run>/cells/tap scenarios/two-turns.toml

Exit codes: 2 usage error, 4 the port cannot be had, 130 Ctrl-C, which is how it ends.`,
  )
  .action(async (options) => {
    const { recordCommand } = await import('./record-command.ts');
    process.exitCode = await recordCommand(terminal, { ...options, version: harnessVersion() });
  });

program
  .command('report')
  .description('what recordings come to, from their files alone')
  .argument('<recording...>', 'runs, recordings of one conversation, bundles')
  .addOption(ledgerOption())
  .option('--twin', 'show where real boards and their models part')
  .option(
    '--html <file>',
    'write the page for a browser, too: figures, timelines and sound in one file',
  )
  .addOption(outputOption())
  .addOption(noGithubOption())
  .option('--json', 'print the report as one JSON document instead of the table')
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness report recordings/runs/<run>
  echokit-harness report recordings/golden/*.zip
  echokit-harness report recordings/runs/<run> --html report.html
  echokit-harness report recordings/runs/<run> --output csv=turns.csv --output markdown=-
  echokit-harness report recordings/runs/<run>/cells/<cell> --json

Exit codes: 0 all passed, 1 an expectation failed, 4 a recording cannot be read or judged.`,
  )
  .action(async (paths: string[], options) => {
    const { reportCommand } = await import('./report-command.ts');
    process.exitCode = await reportCommand(terminal, paths, options);
  });

program
  .command('compare')
  .description('what moved from A to B, by how much, how sure; and whether a gate was passed')
  .argument('<A>', 'before: a run, report.json, a bundle, a folder of runs, or a baseline')
  .argument('<B>', 'after: the same')
  .option(
    '--gate <metric=tolerance>',
    'how much worse a metric may get, such as ttfb_ms.p50=+10%; "off" takes a gate away; repeat it for several',
    collect,
    [],
  )
  .option(
    '--allow-different <what>',
    `what may differ, separated by commas: ${conditionNames.join(', ')}`,
    conditions,
  )
  .option(
    '--harness-config <file>',
    'whose [gate] is in force; default: echokit-harness.toml here or above',
  )
  .option('--no-harness-config', 'no gates but the usual ones and those of --gate')
  .option('--by-scenario', 'compare each scenario by itself')
  .option('--all', 'show every metric, also those that did not move')
  .addOption(
    new Option('--seed <number>', 'of the draws behind the intervals')
      .default(1)
      .argParser(whole('--seed', 0, 2 ** 31 - 1)),
  )
  .option('--json', 'print the comparison as one JSON document')
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness compare recordings/runs/<before> recordings/runs/<after>
  echokit-harness compare main recordings/runs/<run> --gate audible_at_speaker_ms.p50=+10%
  echokit-harness compare before.zip after.zip --allow-different scenario,texts
  echokit-harness compare main recordings/runs/<run> --json | jq '.gates[] | select(.verdict != "pass")'

A gate that cannot be decided with so few conversations is shown with how many it needs, and is no failure.

Exit codes: 0 no gate was passed, 2 usage error, or more than the program differs, 3 a regression,
            4 a recording cannot be read, 5 the two have nothing in common.`,
  )
  .action(async (a: string, b: string, options) => {
    const { compareCommand } = await import('./compare-command.ts');
    process.exitCode = compareCommand(terminal, a, b, options);
  });

const baseline = program
  .command('baseline')
  .description('runs that are kept as files to compare with');

const baselineFolderOption = (): Option =>
  new Option('--folder <folder>', 'where baselines are').default('baselines');

baseline
  .command('save')
  .description('keep a run as a baseline: a file to commit')
  .argument('<run>', 'a run, report.json, a bundle, or a folder of runs')
  .option('--name <name>', 'of the baseline', 'main')
  .option('--force', 'replace a baseline that is there')
  .addOption(baselineFolderOption())
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness run --repeat 20 && echokit-harness baseline save recordings/runs/<run>
  echokit-harness run --repeat 20 --baseline main`,
  )
  .action(async (run: string, options) => {
    const { saveBaseline } = await import('./baseline-command.ts');
    process.exitCode = saveBaseline(terminal, run, options);
  });

baseline
  .command('list')
  .description('the baselines there are')
  .addOption(baselineFolderOption())
  .option('--json', 'print them as one JSON document')
  .action(async (options) => {
    const { listBaselines } = await import('./baseline-command.ts');
    process.exitCode = listBaselines(terminal, options);
  });

baseline
  .command('check')
  .description(
    'what the gates are worth with these conversations: false alarms, smallest change found',
  )
  .argument('<run>', 'a baseline, or anything that can be compared')
  .option(
    '--gate <metric=tolerance>',
    'how much worse a metric may get, as in "compare"; "off" takes a gate away; repeat it for several',
    collect,
    [],
  )
  .option(
    '--harness-config <file>',
    'whose [gate] is in force; default: echokit-harness.toml here or above',
  )
  .option('--no-harness-config', 'no gates but the usual ones and those of --gate')
  .addOption(
    new Option('--resamples <number>', 'runs without a change that are drawn')
      .default(1000)
      .argParser(whole('--resamples', 1, 1_000_000)),
  )
  .addOption(
    new Option('--seed <number>', 'of the draws')
      .default(1)
      .argParser(whole('--seed', 0, 2 ** 31 - 1)),
  )
  .option('--json', 'print it as one JSON document')
  .action(async (run: string, options) => {
    const { checkBaseline } = await import('./baseline-command.ts');
    process.exitCode = checkBaseline(terminal, run, options);
  });

baseline
  .command('show')
  .description('what a baseline holds')
  .argument('<baseline>', 'its name, or its file')
  .addOption(baselineFolderOption())
  .option('--json', 'print all of it as one JSON document')
  .action(async (name: string, options) => {
    const { showBaseline } = await import('./baseline-command.ts');
    process.exitCode = showBaseline(terminal, name, options);
  });

program
  .command('merge')
  .description('join the parts of a run that was divided with --shard')
  .argument('<run...>', 'folders of all parts, or their report.json, in any order')
  .requiredOption('--out <folder>', 'folder of the joined run; it must not be there yet')
  .option(
    '--baseline <name>',
    'what the joined run must not be worse than, as in "run"; default: that of echokit-harness.toml',
  )
  .addOption(baselineGateOption())
  .addOption(baselineDifferenceOption())
  .option(
    '--harness-config <file>',
    'whose baseline and [gate] are in force; default: echokit-harness.toml here or above',
  )
  .option('--no-harness-config', 'no baseline and gates but those of the command line')
  .addOption(outputOption())
  .addOption(noGithubOption())
  .option('--json', 'print the report as one JSON document')
  .option('--no-html', 'do not write report.html, the page for a browser')
  .addHelpText(
    'after',
    `
The joined run has the cells, verdicts and figures that the run would have had in one part, in the same order. Files of recordings are
linked where the disk can, and copied elsewhere.

Examples:
  echokit-harness run --shard 1/4 --out part-1             on the first of four machines
  echokit-harness merge part-*/* --out recordings/runs/all --output junit=results.xml
  echokit-harness merge part-*/* --out recordings/runs/all --baseline main      exit code 3: worse than the baseline
  echokit-harness run --shard 1/4 --durations recordings/runs/all    the next time

Exit codes: those of the run; 2 the parts are not those of one run, 4 parts are missing or cannot be read.`,
  )
  .action(async (paths: string[], options) => {
    const { mergeCommand } = await import('./merge-command.ts');
    process.exitCode = await mergeCommand(terminal, paths, options);
  });

program
  .command('bundle')
  .description('a run in one file: scenario, configuration, board, recordings, versions, report')
  .argument('<recording>', 'folder of a run, or of one recording')
  .option('--out <file>', 'the bundle, a ZIP; default: <name>.zip here')
  .option('--force', 'replace a file that is there')
  .action(ofRecording(async () => (await import('./bundle-command.ts')).bundleCommand));

program
  .command('repro')
  .description(
    'hold the conversations of a bundle again: the same bytes, or which input is not as it was',
  )
  .argument('<bundle>', 'a bundle, or the folder of a run')
  .option('--json', 'print the comparison as one JSON document')
  .addHelpText(
    'after',
    `
In virtual time. The provider is its stand-in, or the recording where a real service spoke or time was real.

Exit codes: 0 the same bytes, 1 other bytes, 4 the bundle cannot be read.`,
  )
  .action(ofRecording(async () => (await import('./repro-command.ts')).reproCommand));

program
  .command('promote')
  .description('make reviewed recordings golden: CI compares with them from then on')
  .argument('<recording>', 'folder of a run, or of one recording')
  .option('--reason <text>', 'what was reviewed, and why it is right')
  .option('--yes', 'do not ask')
  .option('--out <folder>', 'where golden recordings are', 'recordings/golden')
  .action(ofRecording(async () => (await import('./promote-command.ts')).promoteCommand));

program
  .command('export')
  .description('audio of recordings as Ogg/Opus, MP3, FLAC or WAV')
  .argument('<recording>', 'a run, a recording of one conversation, or a bundle')
  .option('--format <name>', 'ogg, mp3, flac, wav', 'ogg')
  .option(
    '--audio <names>',
    'speaker, sent, user, provider, separated by commas; default: speaker',
    list,
    [],
  )
  .option('--out <folder>', 'where the files are written', '.')
  .option('--force', 'replace files that are there')
  .action(async (path: string, options) => {
    const { exportCommand } = await import('./export-command.ts');
    process.exitCode = exportCommand(terminal, path, options);
  });

program
  .command('calibrate')
  .description(
    'what recordings of a real board tell of its constants, into a profile for run --device',
  )
  .argument('<folder...>', 'runs on a real board, or cells of them; the more sentences, the better')
  .option('--name <name>', 'of the profile; default: the names of the board and its model')
  .option('--out <file>', 'where the profile is written', 'board-profile.toml')
  .action(async (folders: string[], options) => {
    const { calibrateCommand } = await import('./calibrate-command.ts');
    process.exitCode = calibrateCommand(terminal, folders, options);
  });

program
  .command('inspect')
  .description(
    'what is wrong with the sound of recordings or WAV files: what, where, at which stage',
  )
  .argument('<path...>', 'runs, cells of them, bundles, or WAV files (16-bit PCM)')
  .option('--against <file>', 'with a WAV file: one that is right, to compare it with')
  .option('--text <text>', 'with a WAV file: what is said in it, to compare its duration with')
  .option('--all', 'draw every sentence, not only those in which something is wrong')
  .option('--out <folder>', 'draw waveforms, spectrogram, buffer level and gaps as SVG files, too')
  .option('--json', 'print one JSON document instead of the drawing')
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness inspect recordings/runs/<run>
  echokit-harness inspect recordings/runs/<run>/cells/<cell> --all --out pictures
  echokit-harness inspect clip.wav --text "It is not far from here to the sea."
  echokit-harness inspect heard.wav --against spoken.wav

Exit codes: 0 nothing is wrong, 1 there are defects, 2 usage or no such WAV file, 4 no recording, or one without what the speaker played.`,
  )
  .action(async (paths: string[], options) => {
    const { inspectCommand } = await import('./inspect-command.ts');
    process.exitCode = inspectCommand(terminal, paths, options);
  });

program
  .command('validate')
  .description('check scenarios and EchoKit configurations and say what is wrong where')
  .argument(
    '[file...]',
    'scenario files, folders of them, EchoKit config.toml files, echokit-harness.toml; default: scenarios',
  )
  .addOption(configOption())
  .action(async (paths: string[], options) => {
    const { validateCommand } = await import('./validate-command.ts');
    process.exitCode = await validateCommand(terminal, paths, {
      ...options,
      version: harnessVersion(),
    });
  });

program
  .command('serve')
  .description('adapter server for boards, real or emulated; answers from a scenario')
  .option(
    '--provider <name>',
    'provider to speak with; default: the one of --config, without it openai',
  )
  .addOption(configOption())
  .option('--host <address>', 'address to listen on; default: addr of --config, else 127.0.0.1')
  .addOption(
    new Option(
      '--port <number>',
      'port to listen on; 0 takes any free one; default: addr of --config, else 8080',
    ).argParser(whole('--port', 0, 65535)),
  )
  .option('--scenario <file>', 'what is understood and answered, turn by turn, over and over')
  .option('--record <folder>', 'take recordings of boards (/v1/record/{id}) into this folder')
  .option(
    '--token <token>',
    'let in only who shows it; better in the variable ECHOKIT_HARNESS_TOKEN, which no list of processes shows',
  )
  .option('--tls-cert <file>', 'speak TLS (wss) with this certificate, PEM; boards cannot')
  .option('--tls-key <file>', 'the key of --tls-cert, PEM')
  .addOption(
    new Option(
      '--server-model <name>',
      'whose behavior the server has; default: what the scenario says',
    ).choices(['harness', 'echokit-server']),
  )
  .option('--live', 'speak with the real service of --provider or --config instead of its stand-in')
  .addOption(maxRequests())
  .addOption(maxCharacters())
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness serve                         then, in another terminal:
  echokit-harness device ws://127.0.0.1:8080/ws/ --say "How far is the moon?"
  echokit-harness serve --host 0.0.0.0          for a board on the same network: set its server URL
                                                to ws://<this machine>:8080/ws/
  ECHOKIT_HARNESS_TOKEN=$(openssl rand -hex 16) echokit-harness serve --host 0.0.0.0
                                                only for boards with ws://<this machine>:8080/token/<token>/ws/
  echokit-harness serve --live --config config.toml       with the real service`,
  )
  .action(async (options) => {
    const { serveCommand } = await import('./serve-command.ts');
    process.exitCode = await serveCommand(terminal, options);
  });

program
  .command('device')
  .description('an emulated board that talks to any EchoKit server')
  .argument('<url>', 'server URL as stored on a board, for example ws://127.0.0.1:8080/ws/')
  .option(
    '--say <text>',
    'what the user says; repeat it for several turns; without it, at a terminal, keys and typed text are',
    collect,
    [],
  )
  .option('--board <name>', 'board profile', 'diy')
  .option('--id <mac>', 'device id, 12 hex digits', '02ec0e000002')
  .option('--save <file>', 'write what the speaker played to this WAV file')
  .option(
    '--ca <file>',
    'authority (PEM) of a server at a wss:// URL, which this board then speaks TLS with; no real one can',
  )
  .option(
    '--quirks-off <ids>',
    'quirks of the firmware that the board does not have, separated by commas, e.g. Q2,Q15',
    list,
    [],
  )
  .option(
    '--console',
    'print the lines of the board’s serial console, as a real one does, instead of a summary; at a keyboard they always show',
    false,
  )
  .addOption(
    new Option('--noise-dbfs <dB>', 'noise at the microphone: its RMS below full scale').argParser(
      level('--noise-dbfs', acousticLimits.noiseDbfs),
    ),
  )
  .addOption(
    new Option(
      '--echo-db <dB>',
      'the microphone hears the speaker, so much louder or (below 0) quieter',
    ).argParser(level('--echo-db', acousticLimits.echoDb)),
  )
  .addOption(
    new Option(
      '--echo-delay-ms <ms>',
      'with --echo-db: from speaker to microphone, beside the 64 ms within the board; default: 0',
    ).argParser(level('--echo-delay-ms', acousticLimits.echoDelayMs)),
  )
  .addOption(
    new Option('--timeout <seconds>', 'give up a turn after this long')
      .default(60)
      .argParser(whole('--timeout', 1, 3600)),
  )
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness device ws://127.0.0.1:8080/ws/                at a keyboard: k is K0, s lets you type what you say
  echokit-harness device ws://127.0.0.1:8080/ws/ --say "How far is the moon?" --console > console.log
  echokit-harness device ws://127.0.0.1:8080/ws/ --quirks-off Q2,Q15 --noise-dbfs -45
  echokit-harness device ws://127.0.0.1:8080/ws/ --echo-db -12 --echo-delay-ms 20     K, then listen to it interrupt itself

Quirks are in harness/device/README.md, noise and echo in scenarios/README.md under [device].
Exit codes: 0 every turn was answered, 1 one was not, 2 usage error, 130 interrupted.`,
  )
  .action(async (url: string, options) => {
    const { deviceCommand } = await import('./device-command.ts');
    process.exitCode = await deviceCommand(terminal, url, options);
  });

program
  .command('virtual-board')
  .description('a board without hardware: its console at a serial port, its voice at a server')
  .option(
    '--pty <path>',
    'a port of this machine at this path; needs socat; carries no DTR and RTS',
  )
  .addOption(
    new Option(
      '--rfc2217 <port>',
      'an RFC 2217 server, which carries DTR, RTS and the baud rate',
    ).argParser(whole('--rfc2217', 0, 65535)),
  )
  .addOption(
    new Option('--socket <port>', 'its bytes over plain TCP').argParser(
      whole('--socket', 0, 65535),
    ),
  )
  .option('--host <address>', 'address for --rfc2217 and --socket', '127.0.0.1')
  .option('--board <name>', 'board profile', 'diy')
  .option('--firmware <version>', 'firmware on it; default: the newest')
  .addOption(
    new Option('--wiring <name>', 'USB socket the cable is in: UART bridge or native USB')
      .choices(['bridge', 'usb-jtag'])
      .default('bridge'),
  )
  .addOption(
    new Option(
      '--serial-link [baud]',
      'firmware with the serial link on its console: it reaches its server through "bridge" or "run --link serial"',
    )
      .preset(115_200)
      .argParser(whole('--serial-link', 300, 4_000_000)),
  )
  .option('--id <mac>', 'device id, 12 hex digits', '02ec0e000002')
  .option('--server <url>', 'server URL as stored on the board', 'ws://127.0.0.1:8080/ws/')
  .option(
    '--fault <name[@seconds]>',
    'what is wrong with it; repeat it for several; a wrong name lists all',
    collect,
    [],
  )
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness virtual-board --pty /tmp/board         then open /tmp/board with any serial monitor
  echokit-harness virtual-board --rfc2217 4000 --fault rust-panic@20
  echokit-harness serve                                  a server for it to talk to, in another terminal

Commands are read from its input, a line each: k0, k0 long, say <text>, fail <fault>, power off, power on, quit.`,
  )
  .action(async (options) => {
    const { virtualBoardCommand } = await import('./virtual-board-command.ts');
    process.exitCode = await virtualBoardCommand(terminal, options);
  });

const conform = program
  .command('conform')
  .description('conformance suites: does a server, or a board, keep to the device protocol?');

const conformOptions = (command: Command): Command =>
  command
    .option('--only <names>', 'families or ids of cases, separated by commas', list, [])
    .option('--list', 'show the cases and play none')
    .option('--json', 'print one JSON document, with everything that was sent and came');

conformOptions(
  conform
    .command('server')
    .description('plays a board, also a badly behaved one, against any EchoKit server')
    .argument('[url]', 'server URL as stored on a board, for example ws://127.0.0.1:8080/ws/'),
)
  .addOption(
    new Option('--timeout <seconds>', 'how long a server may take for one answer')
      .default(30)
      .argParser(whole('--timeout', 1, 600)),
  )
  .addOption(
    new Option('--idle <seconds>', 'how long a silent board must stay connected; boards need 300')
      .default(15)
      .argParser(whole('--idle', 1, 3600)),
  )
  .option(
    '--say <text or file.wav>',
    'what the user says; a WAV is 16-bit mono at 16 kHz',
    'How far away is the moon?',
  )
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness conform server ws://127.0.0.1:8080/ws/
  echokit-harness conform server ws://127.0.0.1:8080/ws/ --only handshake,malformed
  echokit-harness conform server --list

It asks the server some 250 questions, most of them by the command Text, and speaks some 60 times; with a
server that answers at once it takes six minutes.

Exit codes: 0 every case passed or is unsupported, 1 a case failed, 4 nobody answers at the URL.`,
  )
  .action(async (url: string | undefined, options) => {
    const { conformServerCommand } = await import('./conform-server-command.ts');
    process.exitCode = await conformServerCommand(terminal, url, options);
  });

conformOptions(
  conform
    .command('device')
    .description('plays a server against the emulated board, or against a real one that connects'),
)
  .option('--board <name>', 'board to emulate', 'diy')
  .addOption(
    new Option('--time <mode>', 'of the emulated board: a simulated clock, or loopback sockets')
      .choices(['virtual', 'real'])
      .default('virtual'),
  )
  .option('--listen <host:port>', 'wait for a real board instead; its wire is all that is seen')
  .option('--long', 'in real time: also the cases that wait for minutes')
  .option(
    '--say <text or file.wav>',
    'what the emulated board hears; a WAV is 16-bit mono at 16 kHz',
    'How far away is the moon?',
  )
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness conform device
  echokit-harness conform device --board box --only upload,interrupt
  echokit-harness conform device --listen 0.0.0.0:8080      a board on the desk; somebody must press its keys

Exit codes: 0 every case passed or is unsupported, 1 a case failed, 4 the address cannot be listened on.`,
  )
  .action(async (options) => {
    const { conformDeviceCommand } = await import('./conform-device-command.ts');
    process.exitCode = await conformDeviceCommand(terminal, options);
  });

program
  .command('stand-ins')
  .description('everything an EchoKit server calls, on this machine: speech, chat, transcription')
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .addOption(port(9100))
  .option('--only <names>', 'stand-ins to start, separated by commas; default: all', list)
  .option('--tts <platform>', 'platform of the [tts] section; default: the first that is started')
  .option('--scenario <file>', 'what is understood and answered, turn by turn, over and over')
  .option(
    '--personality <pairs>',
    'platform=name, separated by commas, e.g. openai=kokoro-gpu',
    list,
  )
  .option('--verbose', 'show headers, bodies and messages of requests; keys are replaced')
  .option('--json', 'print the configuration and every request as one JSON document per line')
  .addHelpText(
    'after',
    `
Prints a complete config.toml for an EchoKit server, then one line per request on stderr.

Examples:
  echokit-harness stand-ins > config.toml       then, in another terminal: echokit_server config.toml
  echokit-harness stand-ins --tts elevenlabs    [tts] is the one of ElevenLabs
  echokit-harness stand-ins --only chat,openai --verbose

Ports count up from --port; a stand-in has the same port whatever else is started.`,
  )
  .action(async (options) => {
    const { standInsCommand } = await import('./stand-ins-command.ts');
    process.exitCode = await standInsCommand(terminal, options);
  });

program
  .command('faults')
  .description('list the faults that a scenario can plant, or explain some of them')
  .argument('[name...]', 'faults to explain; default: a list of all')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    '\nA scenario plants them with [[fault]] and [[turn.fault]]: scenarios/README.md.',
  )
  .action(async (names: string[], options) => {
    const { faultsCommand } = await import('./faults-command.ts');
    process.exitCode = faultsCommand(terminal, names, options);
  });

program
  .command('explore')
  .description('search for what breaks: random faults over seeds against what must always hold')
  .addOption(
    new Option('--seeds <number>', 'how many seeds').argParser(whole('--seeds', 1, 100_000_000)),
  )
  .addOption(
    new Option('--seed <number>', 'the first seed; without --seeds this one only').argParser(
      whole('--seed', 0, 0x7fff_ffff),
    ),
  )
  .addOption(
    new Option('--jobs <number>', 'processes; default: one for each core').argParser(
      whole('--jobs', 1, 256),
    ),
  )
  .addOption(
    new Option('--minutes <number>', 'stop after so many minutes').argParser(
      whole('--minutes', 1, 100_000),
    ),
  )
  .option('--save <folder>', 'where smallest failing schedules are kept', 'scenarios/found')
  .option('--json', 'print one JSON document')
  .addHelpText(
    'after',
    `
Each seed is a conversation of one to three turns in virtual time, with barge-ins, keys and faults, and a last turn in which nothing
goes wrong. A schedule that breaks an invariant is cut to the smallest one that breaks it, too, and kept as a scenario.

Exit codes: 0 everything held, 1 something was broken.`,
  )
  .action(async ({ seed, seeds, ...options }) => {
    const { exploreCommand } = await import('./explore-command.ts');
    const asked = { seed: seed ?? 1, seeds: seeds ?? (seed === undefined ? 1000 : 1) };
    process.exitCode = await exploreCommand(terminal, { ...options, ...asked });
  });

program
  .command('doctor')
  .description('check the installation, and with --live whether each provider works')
  .option(
    '--provider <names>',
    'providers to check, separated by commas; default: those of --config',
    names('--provider'),
  )
  .addOption(configOption())
  .option('--live', 'ask each provider to say "OK."; costs a few characters each')
  .addOption(maxRequests())
  .addOption(maxCharacters())
  .option('--json', 'print what was found as JSON')
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness doctor                            this machine
  echokit-harness doctor --config config.toml       and what the configuration says, without asking anybody
  echokit-harness doctor --live --config config.toml
  OPENAI_API_KEY=… echokit-harness doctor --live --provider openai

Exit codes: 0 all is well (notes do not count), 2 usage error, 4 something is wrong.`,
  )
  .action(async (options) => {
    const { doctorCommand } = await import('./doctor-command.ts');
    process.exitCode = await doctorCommand(terminal, options);
  });

const registryOption = (): Option =>
  new Option(
    '--registry <file>',
    'names of boards; default: ECHOKIT_HARNESS_BOARDS, boards.toml here, else in the user configuration',
  );

const boards = program
  .command('boards')
  .description('serial ports of this machine, and boards with names')
  .addOption(registryOption())
  .option('--json', 'print one JSON document')
  .option(
    '--probe',
    'reset each board that nobody uses, those at network addresses included, and read MAC and firmware from its boot log',
  )
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness boards
  echokit-harness boards --probe                             restarts every board that it finds
  echokit-harness boards add kitchen --port /dev/ttyACM0     by its MAC or USB serial number, wherever it is plugged in
  echokit-harness boards add lab --port rfc2217://lab:4000 --wiring usb-jtag   a board on another desk
  echokit-harness boards forget kitchen`,
  )
  .action(async (options) => {
    const { boardsCommand } = await import('./boards-command.ts');
    process.exitCode = await boardsCommand(terminal, options);
  });

boards
  .command('add')
  .description('give a board a name by what it is, never by its port')
  .argument('<name>', 'lower-case letters, digits, - and _')
  .option('--port <port>', 'the port it is at now; default: the only one that looks like a board')
  .option('--mac <mac>', 'MAC of its Wi-Fi station: its device id, 12 hex digits')
  .option('--usb-serial <number>', 'serial number of its USB device')
  .option('--address <url>', 'rfc2217://host:port or socket://host:port')
  .addOption(
    new Option(
      '--wiring <kind>',
      'with an address: how the cable there reaches the chip, which the address does not tell',
    ).choices(['bridge', 'usb-jtag']),
  )
  .action(async (name: string, _options, command: Command) => {
    const { boardsAddCommand } = await import('./boards-command.ts');
    process.exitCode = await boardsAddCommand(terminal, name, command.optsWithGlobals());
  });

boards
  .command('forget')
  .description('remove the name of a board')
  .argument('<name>')
  .action(async (name: string, _options, command: Command) => {
    const { boardsForgetCommand } = await import('./boards-command.ts');
    process.exitCode = boardsForgetCommand(terminal, name, command.optsWithGlobals());
  });

program
  .command('monitor')
  .description('the console of a board: lines, what they mean, crashes decoded; until Ctrl-C')
  .argument('[board]', 'a name of boards.toml; default: the only port that looks like a board')
  .option('--port <address>', 'a port, rfc2217://host:port or socket://host:port')
  .addOption(registryOption())
  .addOption(
    new Option('--baud <rate>', 'of the port; the firmware prints at the default')
      .default(115_200)
      .argParser(whole('--baud', 300, 4_000_000)),
  )
  .option('--reset', 'restart the board first')
  .addOption(
    new Option(
      '--wiring <kind>',
      'how the cable reaches the chip, where neither the port nor boards.toml tells (rfc2217://)',
    ).choices(['bridge', 'usb-jtag']),
  )
  .option('--level <level>', 'show lines of E, W, I, D or V and what is worse')
  .option(
    '--filter <conditions>',
    'show lines that meet all: tag=echokit::*, event=asr, origin=firmware, level=W, text~"opus"; ! before one leaves out',
  )
  .addOption(
    new Option('--timestamps <kind>', 'time of day, since the start, since the last reset, or none')
      .choices(['wall', 'run', 'boot', 'none'])
      .default('wall'),
  )
  .option('--log <file>', 'add everything to this file, filtered or not; with --json as JSON, too')
  .option('--json', 'print one JSON document per line')
  .option('--quiet', 'no remarks on stderr: counts, waits, how a reset went')
  .option('--elf <file>', 'the program on the board: backtraces get functions and lines')
  .addOption(secretOption().default([]))
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness monitor                                  the only board at this machine
  echokit-harness monitor kitchen --reset --elf target/xtensa-esp32s3-espidf/release/echokit
  echokit-harness monitor --port rfc2217://lab:4000 --level W --log board.log
  echokit-harness monitor --json | jq -r 'select(.type == "panic") | .crash.summary'

Lines that begin with -- are of this program. … stands where a line is not whole: it began before the port was open, or
was broken off. The Wi-Fi password is replaced everywhere, and so are the token of "serve", what fields of credentials hold,
and every --secret: --secret '\${OPENAI_API_KEY}' keeps the value out of the list of processes.

Every document of --json begins with its type: line, or an event. They come in the order in which they are known; atUs is
when a thing began, so a crash stands behind its lines with the instant of its first one.

Exit codes: 2 the command line or boards.toml is wrong, 4 the port cannot be had, or another board answers,
            130 Ctrl-C, which is how it ends.`,
  )
  .action(async (board: string | undefined, options) => {
    const { monitorCommand } = await import('./monitor-command.ts');
    process.exitCode = await monitorCommand(terminal, board, options);
  });

program
  .command('bridge')
  .description('relays between a board on a serial link and an EchoKit server; until Ctrl-C')
  .argument(
    '[board]',
    'a name of boards.toml or a port; default: the only port that looks like a board',
  )
  .option('--port <address>', 'a port, rfc2217://host:port or socket://host:port')
  .addOption(registryOption())
  .option(
    '--server <url>',
    'any EchoKit server, as stored on a board; the default is where "serve" listens',
    'ws://127.0.0.1:8080/ws/',
  )
  .addOption(
    new Option('--baud <rate>', 'of the link')
      .default(115_200)
      .argParser(whole('--baud', 300, 4_000_000)),
  )
  .option('--compact', 'audio to the board in a third fewer bytes, and not as the server sent it')
  .option('--reset', 'restart the board first')
  .option('--level <level>', 'show console lines of E, W, I, D or V and what is worse')
  .option('--filter <conditions>', 'show console lines that meet all, as in "monitor"')
  .addOption(
    new Option('--timestamps <kind>', 'of console lines')
      .choices(['wall', 'run', 'boot', 'none'])
      .default('wall'),
  )
  .option('--json', 'print one JSON document per line')
  .addOption(secretOption().default([]))
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness serve                                    then, in another terminal:
  echokit-harness bridge kitchen --baud 921600
  echokit-harness bridge /dev/ttyUSB0 --server ws://192.168.1.5:8080/ws/ --level W
  echokit-harness bridge --json | jq -c 'select(.type == "traffic")'
  echokit-harness virtual-board --socket 5000 --serial-link   no board at hand: bridge socket://127.0.0.1:5000

The firmware must have the serial link: firmware-protocol/serial-link/README.md. One without it is told within 7 s.
Secrets are replaced as in "monitor", also in what board and server say of themselves.
Exit codes: 2 the command line or boards.toml is wrong, 4 the port cannot be had, nobody there speaks the link, or
            another board answers, 130 Ctrl-C, which is how it ends.`,
  )
  .action(async (board: string | undefined, options) => {
    const { bridgeCommand } = await import('./bridge-command.ts');
    process.exitCode = await bridgeCommand(terminal, board, options);
  });

program
  .command('bench')
  .description(
    'how fast this program is, in ratios within one run; figures can be kept and compared',
  )
  .option(
    '--only <parts>',
    'parts, separated by commas; default: those that --list names',
    names('--only'),
  )
  .option('--list', 'show the parts and about how long each takes')
  .option('--full', 'longer and surer')
  .option('--json [file]', 'the figures as JSON, beside the text into a file or in its place')
  .option('--against <file>', 'JSON of an earlier bench: what has moved by more than the spreads')
  .option('--keep', 'add a row to docs/bench-history.md of this checkout')
  .addHelpText(
    'after',
    `
Examples:
  echokit-harness bench                                  all parts in about eleven minutes
  echokit-harness bench --json before.json               then change something, and:
  echokit-harness bench --against before.json
  echokit-harness bench --only replay --full

Another program on the machine moves milliseconds, and much less so ratios of things measured in turn.`,
  )
  .action(async (options) => {
    const { benchCommand } = await import('./bench-command.ts');
    process.exitCode = await benchCommand(terminal, options);
  });

program
  .command('init')
  .description('write a small project that runs: a scenario, defaults, a workflow for CI')
  .argument('[folder]', 'where; default: here', '.')
  .option('--force', 'replace files that are there')
  .addHelpText(
    'after',
    `
It writes echokit-harness.toml, a scenario, schemas for editors, a workflow for GitHub Actions at the root of the repository,
and a line of .gitignore. Without --force nothing that is there is changed, but for that line.`,
  )
  .action(async (folder: string, options) => {
    const { initCommand } = await import('./init-command.ts');
    process.exitCode = initCommand(terminal, folder, { ...options, version: harnessVersion() });
  });

program
  .command('completion')
  .description('a script with which a shell completes commands, options and names')
  .addArgument(new Argument('[shell]', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']))
  .addOption(
    new Option('--values <list>', 'what the script asks for')
      .choices(['providers', 'devices', 'networks', 'tags'])
      .hideHelp(),
  )
  .addHelpText(
    'after',
    `
Examples:
  eval "$(echokit-harness completion bash)"             in ~/.bashrc
  source <(echokit-harness completion zsh)              in ~/.zshrc, behind compinit
  echokit-harness completion fish | source              in ~/.config/fish/config.fish

It completes the installed program, "echokit-harness"; npm completes the scripts of a checkout.`,
  )
  .action(async (shell: CompletionShell | undefined, options: { values?: CompletionList }) => {
    if (options.values !== undefined) {
      const { completionValues } = await import('./completion-command.ts');
      terminal.print(completionValues(options.values, process.cwd()).join('\n'));
      return;
    }
    if (shell === undefined) {
      throw new CommandError(
        'USAGE',
        exitCode.usage,
        'The shell is missing.',
        'echokit-harness completion bash, zsh or fish',
      );
    }
    const { completionScript } = await import('./completion-script.ts');
    terminal.print(completionScript(program, shell, 'echokit-harness').trimEnd());
  });

/**
 * What no call has caught is a defect, and never an expectation that failed. The system closes sockets and ports with
 * the process; a port's lines are off then.
 */
process.on('uncaughtException', (error: Error & { readonly code?: string }) => {
  // Whoever read the output has gone, and nobody else is there to be told.
  if (error.code === 'EPIPE') process.exit(exitCode.environment);
  terminal.say(describeError(error, harnessVersion()).text);
  process.exit(exitCode.defect);
});

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCode.passed : exitCode.usage;
  } else {
    const { text, exit } = describeError(error, harnessVersion());
    terminal.say(text);
    process.exitCode = exit;
  }
}
// A pipe may still hold what was printed; `process.exit` would throw it away.
for (const stream of [process.stdout, process.stderr]) {
  await new Promise<void>((resolve) => {
    stream.once('error', () => resolve());
    stream.write('', () => resolve());
  });
}
// Library timers on real time must not hold the process; everything of ours is closed by now.
process.exit();
