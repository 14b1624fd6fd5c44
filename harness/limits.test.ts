/** Every bound of the program has a name and a row in docs/limits.md, and every row has its bound. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { serverLimits } from './server/server-limits.ts';
import { serverSettingsDefaults } from './server/server-settings.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Every number here that has a name is a limit, or is said not to be one. */
const areas = ['adapters', 'firmware-protocol', 'harness'];

/**
 * Folders that measure, compare, show, or play prepared cases: what their numbers are made of is an estimate or a picture, so only
 * those are looked at whose names say that they bound something.
 */
const measuring =
  /^harness\/(?:bench|comparison|conformance|exploration|fuzzing|golden|inspection|load|metrics|report|verdict)\//;
const boundingName =
  /(?:Max(?:imum)?|Most|Limit)(?:[A-Z]\w*)?$|^(?:most|longest|largest)[A-Z]|Characters$/;

/** Named numbers that bound nothing that comes from outside: sizes of formats, rates, what an estimate is made of. */
const noLimits: Readonly<Record<string, readonly string[]>> = {
  'adapters/audio/compressed-frames.ts': ['headerBytes'],
  'adapters/audio/resampler.ts': ['outputRateHz', 'stopBandDb', 'passBandPart'],
  'adapters/audio/wav-stream.ts': ['repeatedHeaderBytes', 'formatBytesMin', 'rateHzMin'],
  'adapters/platform.ts': ['echoKitBlockSamples'],
  'adapters/platforms/cosyvoice.ts': ['rateHz'],
  'adapters/platforms/fish.ts': ['rateHz', 'chunkLength'],
  'adapters/platforms/gsv-server.ts': ['gsvRateHz'],
  'adapters/platforms/openai.ts': ['pcmRateHz'],
  'adapters/secret-spellings.ts': [
    'base64CharactersMin',
    'secretCharactersMin',
    'tellingCharacters',
  ],
  'firmware-protocol/audio-format.ts': [
    'sampleRateHz',
    'channels',
    'bytesPerSample',
    'opusPacketSamples',
    'opusPacketMaximumBytes',
    'pcmChunkMaximumBytes',
    'helloChunkBytes',
    'playerChunkSamples',
    'playerCyclesPerSecond',
    'uploadFrameSamples',
  ],
  'firmware-protocol/serial-link/adpcm.ts': ['headBytes'],
  'firmware-protocol/serial-link/endpoint.ts': ['noGap'],
  'firmware-protocol/serial-link/frame.ts': ['recommendedFrameBytes', 'checkBytes'],
  'firmware-protocol/serial-link/link-frame.ts': [
    'serialLinkVersion',
    'dataHeadBytes',
    'looseHeadBytes',
    'helloHeadBytes',
    'helloBytes',
  ],
  'harness/audio-files/exported-audio.ts': ['rateHz', 'lengthToleranceMs', 'levelToleranceDb'],
  'harness/bundle/bundle-file.ts': ['bundleVersion'],
  'harness/cli/board-on-desk.ts': ['defaultPort', 'consoleBaud'],
  'harness/cli/board-panel.ts': ['meterColumns', 'meterSeconds'],
  'harness/cli/calibrate-command.ts': ['enough'],
  'harness/cli/device-command.ts': ['beforeClipUs'],
  'harness/cli/explore-command.ts': ['seedsPerLine'],
  'harness/cli/explore-tally.ts': ['warmSeeds'],
  'harness/cli/explore-worker.ts': ['seedsPerCollection'],
  'harness/cli/fuzz-decoders.ts': ['partInputs'],
  'harness/cli/installation-check.ts': ['latenessMaxMs'],
  'harness/cli/interactive-device.ts': ['redrawUs'],
  'harness/cli/keep-clips.ts': ['rateHz'],
  'harness/cli/keep-gate-samples.ts': ['repetitions'],
  'harness/cli/load-command.ts': ['progressEveryUs', 'limitPrecision'],
  'harness/cli/run-list.ts': ['listSchemaVersion'],
  'harness/cli/run-outputs.ts': ['smallestSummaryBytes'],
  'harness/cli/run-progress.ts': ['barWidth'],
  'harness/cli/soak.ts': ['virtualBoards', 'virtualPauseMs', 'samplesPerPart'],
  'harness/cli/virtual-board-command.ts': ['faultAfterSeconds'],
  'harness/clock/simulated-clock.ts': ['quietTurnsMin'],
  'harness/clock/system-clock.ts': ['timerGranularityMs', 'setClockMs'],
  'harness/clock/waiting-clock.ts': ['spinUs'],
  'harness/comparison/gate-self-test.ts': ['largestMultiple'],
  'harness/device/acoustics.ts': ['samplesPerMs', 'speakerDelayMs'],
  'harness/device/device-machine.ts': ['bytesPerSecond', 'fullVolume'],
  'harness/device/emulated-device.ts': ['abnormalClosure', 'speakerGridUs'],
  'harness/device/microphone.ts': ['sampleRateHz'],
  'harness/device/player.ts': ['cycleUs', 'chunkSamples', 'noSentence'],
  'harness/exploration/schedule.ts': ['longestMs'],
  'harness/fuzzing/found-input.ts': ['longestPeriod'],
  'harness/fuzzing/targets/serial-link.ts': ['bodyMaximum'],
  'harness/fuzzing/trial.ts': ['singleBytesMax'],
  'harness/inspection/shape-alignment.ts': ['missesMax', 'peaksMax'],
  'harness/inspection/speaking-pace.ts': ['pauseMaxMs'],
  'harness/inspection/waveform-faults.ts': ['repetitionMsMax'],
  'harness/metrics/board-clock.ts': ['driftMaximumPpm'],
  'harness/metrics/prebuffer-curve.ts': ['longestPrebufferMs'],
  'harness/metrics/room-measurement.ts': ['answerMaximumSamples', 'silentMaximum'],
  'harness/metrics/self-hearing.ts': ['longestLagSamples'],
  'harness/opus/opus-codec.ts': [
    'opusFrameSamples',
    'sampleRateHz',
    'applicationVoip',
    'resetState',
  ],
  'harness/opus/packet-store.ts': ['keyBytes', 'lengthBytes', 'digestBytes'],
  'harness/replay/rehearsal.ts': ['rounds'],
  'harness/report/page/histogram.ts': ['mostBins'],
  'harness/runner/board-profile-file.ts': ['formatVersion'],
  'harness/runner/dialogue-services.ts': ['httpPort'],
  'harness/runner/linked-board.ts': [
    'usbBytesPerSecond',
    'pcmBaud',
    'pieceSamples',
    'aheadUs',
    'sampleUs',
  ],
  'harness/runner/room-capture.ts': ['markStepUs'],
  'harness/runner/run-cell.ts': ['afterglowUs'],
  'harness/runner/scripted-user.ts': ['afterLongPressUs'],
  'harness/runner/shadow-board.ts': ['samePressUs', 'unknownConnection'],
  'harness/scenario/conversation-length.ts': ['lettersPerSecond', 'overheadMs'],
  'harness/scenario/user-wav.ts': ['sampleRateHz'],
  'harness/serial/boot-banner.ts': ['resetOnOpenWindowUs'],
  'harness/serial/bridge-session.ts': ['usbBytesPerSecond'],
  'harness/serial/console-story.ts': ['clockFallMs'],
  'harness/serial/key-press.ts': ['shortMinimumUs', 'longMinimumUs'],
  'harness/serial/noise-meter.ts': ['windowBytes', 'leastBytes', 'noisyShare', 'quietShare'],
  'harness/serial/open-board-port.ts': ['firmwareBaud'],
  'harness/serial/reset-run.ts': ['stretchToleranceUs'],
  'harness/serial/rfc2217-port.ts': ['answerOffset', 'purgeBoth'],
  'harness/server/end-of-speech.ts': ['pieceSamples', 'pieceMs'],
  'harness/server/paraformer-recognizer.ts': ['sampleRateHz'],
  'harness/server/record-store.ts': ['headerBytes'],
  'harness/server/reply-source.ts': ['tokenCharacters'],
  'harness/server/service-call.ts': ['neverMs'],
  'harness/server/speech-framer.ts': ['packetSamples', 'rawPieceSamples'],
  'harness/server/sentence-delivery.ts': ['sampleRateHz'],
  'harness/server/vowel.ts': [
    'windowSamples',
    'sampleRateHz',
    'predictionOrder',
    'preEmphasis',
    'binsMax',
  ],
  'harness/stand-ins/audible-range.ts': ['windowMs', 'hopMs', 'audibleDbfs'],
  'harness/stand-ins/band-limited-resampler.ts': [
    'halfWidthCrossings',
    'cutoffShare',
    'kaiserBeta',
  ],
  'harness/stand-ins/chat-stand-in.ts': ['connectMs'],
  'harness/stand-ins/clip-cache.ts': ['digestBytes'],
  'harness/stand-ins/cosyvoice-stand-in.ts': ['defaultRateHz'],
  'harness/stand-ins/delivery-schedule.ts': ['normal95', 'sampleBytes'],
  'harness/stand-ins/elevenlabs-context.ts': ['tryTriggerCharactersMin'],
  'harness/stand-ins/elevenlabs-http.ts': ['concurrentMax'],
  'harness/stand-ins/elevenlabs-stream-input.ts': ['finalMessageUs', 'closeUs'],
  'harness/stand-ins/fish-request.ts': ['automaticOpusKbps'],
  'harness/stand-ins/flite-engine.ts': ['fliteRateHz'],
  'harness/stand-ins/gsv-stand-in.ts': ['defaultRateHz'],
  'harness/stand-ins/kept-clips.ts': ['rateHz', 'headerBytes'],
  'harness/stand-ins/mandarin-engine.ts': ['rateHz', 'wordsPerMinute'],
  'harness/stand-ins/offline-voice.ts': [
    'activeDbfs',
    'peakMax',
    'partPauseMs',
    'treatmentVersion',
  ],
  'harness/stand-ins/openai-compatible.ts': ['rateHz'],
  'harness/stand-ins/openrouter-dialect.ts': ['charactersMax'],
  'harness/stand-ins/paraformer-stand-in.ts': [
    'connectMs',
    'voiceMs',
    'resultMs',
    'sentenceSilenceMs',
    'wordsPerSecond',
  ],
  'harness/stand-ins/reply-delivery.ts': ['lateness'],
  'harness/stand-ins/synthetic-signal.ts': ['rateHz', 'charactersPerSecond', 'fadeMs', 'chirpMs'],
  'harness/stand-ins/transcription-stand-in.ts': ['connectMs', 'secondsMin'],
  'harness/stand-ins/vllm-omni-dialect.ts': ['tokensMax'],
  'harness/stand-ins/voiced-audio.ts': ['voicedRms', 'windowMs'],
  'harness/stand-ins/wire-fault-edit.ts': ['dripUs'],
  'harness/trace/secret-mask.ts': ['tellingBytes'],
  'harness/trace/trace-event.ts': ['traceFormatVersion'],
  'harness/trace/wav-file.ts': ['sampleRateHz', 'headerBytes', 'dataSizeOffset'],
  'harness/virtual-board/board-link.ts': ['pcmBaud', 'tapSamples', 'tapUs'],
  'harness/virtual-board/injected-microphone.ts': ['sampleUs'],
  'harness/virtual-board/rfc2217-server.ts': ['comPortOption', 'serverCode'],
  'harness/virtual-board/uart.ts': ['packetUs', 'bitsPerByte'],
  'harness/virtual-board/virtual-board.ts': [
    'chipBaud',
    'enableRiseUs',
    'keySettleUs',
    'applicationUs',
    'usbBaud',
    'awayAfterResetUs',
    'firstVolume',
  ],
  'harness/voice-detection/voice-detection.ts': ['voiceFrameSamples'],
};

const expression = String.raw`[\d_.e* +/()-]+|Number\.POSITIVE_INFINITY`;
const constant = new RegExp(
  String.raw`^(?:export )?const (\w+)(?:: number)? =\s+(${expression});`,
  'gm',
);

/** A product of numbers as it is written. */
function numberIn(text: string): number {
  if (text.startsWith('Number.')) return Number.POSITIVE_INFINITY;
  return text
    .split('*')
    .map((factor) =>
      factor
        .split('/')
        .map((part) => Number(part.replaceAll('_', '')))
        .reduce((a, b) => a / b),
    )
    .reduce((a, b) => a * b);
}

/** Numbers of tables that are called limits or durations. */
function fieldsOf(path: string): RegExpMatchArray[] {
  return [...read(path).matchAll(table)].flatMap(([, fields]) => [
    ...fields!.matchAll(new RegExp(String.raw`^  (\w+): (${expression}),$`, 'gm')),
  ]);
}

const table = /^export const (?!no)\w*(?:Limits|Timing)\b[^=]* = \{\n([\s\S]*?)^\}/gm;

function sources(): string[] {
  return areas.flatMap((area) =>
    readdirSync(join(root, area), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !/\.(test|contract|d)\.ts$/.test(name))
      // Of the providers' own clients.
      .filter((name) => !name.split(sep).includes('node_modules'))
      .map((name) => `${area}/${name}`),
  );
}

/** `file name` → value, of all named numbers of the areas and of the tables of settings. */
function limitsInSources(): Map<string, number> {
  const found = new Map<string, number>();
  for (const path of sources()) {
    for (const [, constantName, text] of [...read(path).matchAll(constant), ...fieldsOf(path)]) {
      if (noLimits[path]?.includes(constantName!)) continue;
      if (measuring.test(path) && !boundingName.test(constantName!)) continue;
      found.set(`${path} ${constantName}`, numberIn(text!.trim()));
    }
  }
  const tables: [path: string, values: Readonly<Record<string, unknown>>][] = [
    ['harness/server/server-limits.ts', { ...serverLimits }],
    [
      'harness/server/server-settings.ts',
      Object.fromEntries(
        Object.entries(serverSettingsDefaults).filter(
          ([name]) => /Ms$|Bytes$|^parallel/.test(name) && !/^(group|packet)/.test(name),
        ),
      ),
    ],
  ];
  for (const [path, values] of tables) {
    for (const [name, value] of Object.entries(values)) found.set(`${path} ${name}`, Number(value));
  }
  return found;
}

interface Row {
  readonly key: string;
  readonly value: number;
  readonly unit: string;
  readonly reached: string;
}

function rows(): Row[] {
  return [...read('docs/limits.md').matchAll(/^\| `(\w+)`[^\n]*\|$/gm)].map(([row]) => {
    const [name = '', value = '', unit = '', file = '', reached = ''] = row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    const path = file.replaceAll('`', '');
    const area = ['harness/', 'adapters/', ''].find((folder) =>
      existsSync(join(root, folder, path)),
    );
    return {
      key: `${area ?? 'nowhere/'}${path} ${name.replaceAll('`', '')}`,
      value: Number(value.replaceAll(',', '')),
      unit,
      reached,
    };
  });
}

test('every named bound of the sources is in docs/limits.md with its value', (t) => {
  const listed = new Map(rows().map(({ key, value }) => [key, value]));
  const found = limitsInSources();
  t.true(found.size > 250, 'the scan found the limits');
  t.deepEqual(
    [...found].filter(([key, value]) => listed.get(key) !== value).map((pair) => pair.join(' = ')),
    [],
    'give it a row in docs/limits.md, or, when it bounds nothing, a place in `noLimits`',
  );
});

test('every row of docs/limits.md is a bound of the sources, once, with a unit', (t) => {
  const found = limitsInSources();
  const listed = rows();
  for (const { key, value, unit } of listed) {
    const [path = '', name = ''] = key.split(' ');
    t.true(unit.length > 3, key);
    if (found.has(key)) continue;
    // A field of a table, in a file that has others: the line says the same.
    const [, text] =
      new RegExp(String.raw`\b${name}(?::| =) (${expression})[,;]`).exec(read(path)) ?? [];
    t.is(numberIn(text ?? 'absent'), value, `${key} is not in the sources with this value`);
  }
  t.deepEqual(
    listed.map(({ key }) => key).filter((key, i, all) => all.indexOf(key) !== i),
    [],
  );
});

test('what happens at a limit is an error code of harness/README.md, or has a reason why nothing has to be told', (t) => {
  const codes = new Set(
    [...read('harness/README.md').matchAll(/^\| `([A-Z][A-Z0-9_]+)` +\|/gm)].map(
      ([, code]) => code!,
    ),
  );
  for (const { key, reached } of rows()) {
    const named = [...reached.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, code]) => code!);
    for (const code of named.filter((name) => name.includes('_') || name === 'USAGE')) {
      t.true(codes.has(code), `${key}: ${code} is no error code`);
    }
    const isExplained = reached.startsWith('— ') ? reached.length > 12 : reached.length > 20;
    t.true(named.length > 0 || isExplained, `${key}: what happens?`);
  }
});

test('what is said not to be a limit is in the sources', (t) => {
  for (const [path, names] of Object.entries(noLimits)) {
    const there = [...read(path).matchAll(constant)].map(([, name]) => name);
    t.deepEqual(
      names.filter((name) => !there.includes(name)),
      [],
      path,
    );
  }
});

/** Where numbers beside lengths are those of a format. */
const noBounds: readonly string[] = [
  // RFC 6455, section 5.2: from which length on it takes more bytes.
  'harness/network/web-socket-frame.ts',
];

test('no wait, buffer, cut or try of the program has a number without a name', (t) => {
  const unnamed = [
    /\.(?:after|sleep)\(\s*\d[\d_]{2,}/,
    /\b(?:maxBuffer|maxPayload|highWaterMark|timeout|handshakeTimeout):\s*\d{2}/,
    /\.(?:slice|subarray|substring)\((?:0, |-)\d[\d_]{2,}\)/,
    /\b(?:length|size|\w*[bB]ytes|\w*Us|\w*Ms) (?:>|>=|<|<=) \d[\d_]{2,}/,
    /\b(?:tries|attempts?|retries) (?:>|>=|<|<=) \d/,
  ];
  const found: string[] = [];
  for (const path of sources()) {
    if (measuring.test(path) || noBounds.includes(path)) continue;
    for (const [i, line] of read(path).split('\n').entries()) {
      if (unnamed.some((pattern) => pattern.test(line)))
        found.push(`${path}:${i + 1} ${line.trim()}`);
    }
  }
  t.deepEqual(
    found,
    [],
    'give it a name with its unit, and a row in docs/limits.md when it is a limit',
  );
});
