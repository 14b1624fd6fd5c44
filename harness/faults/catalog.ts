/**
 * Every fault there is a name for. Rows of the pitfalls catalogue by their ids; what a fault shows is what the
 * matrix (docs/fault-matrix.md) finds with the built-in providers.
 */
import { nearestName } from '../../adapters/nearest-name.ts';
import type { UnreachableCode } from '../network/laboratory-network.ts';
import { networkNames } from '../network/network-profile.ts';
import type {
  StandInFaultKind,
  FaultMoment as StandInMoment,
} from '../stand-ins/stand-in-changes.ts';
import type { WireFault } from '../stand-ins/wire-fault.ts';
import { type SuddenFaultName, suddenFaults } from '../virtual-board/fault.ts';
import type {
  Fault,
  FaultLayer,
  FaultMoment,
  FaultParameter,
  FaultSign,
  Injection,
  ParameterValue,
} from './fault.ts';

type Values = Readonly<Record<string, ParameterValue>>;

const num = (values: Values, name: string): number => Number(values[name]);
const text = (values: Values, name: string): string => String(values[name]);

function count(name: string, about: string, fallback: number, to = 1000): FaultParameter {
  return { kind: 'number', name, about, unit: '', from: 1, to, whole: true, fallback };
}
function ms(name: string, about: string, fallback: number, to = 600_000): FaultParameter {
  return { kind: 'number', name, about, unit: 'ms', from: 1, to, whole: false, fallback };
}
function whole(
  name: string,
  about: string,
  unit: string,
  [from, to]: readonly [number, number],
  fallback: number,
): FaultParameter {
  return { kind: 'number', name, about, unit, from, to, whole: true, fallback };
}
function share(name: string, about: string, fallback: number): FaultParameter {
  return { kind: 'share', name, about, fallback };
}
function choice(
  name: string,
  about: string,
  choices: readonly string[],
  fallback: string,
): FaultParameter {
  return { kind: 'choice', name, about, choices, fallback };
}

const nth = (fallback: number): FaultParameter =>
  count('message', 'which message with sound of an answer, from 1', fallback);

interface Text {
  readonly about: string;
  readonly imitates?: readonly string[];
  readonly sign: FaultSign;
  readonly parameters?: readonly FaultParameter[];
}

const failed = (...classes: readonly string[]): FaultSign => ({
  classes,
  events: ['provider `failure`'],
  metric: 'failure.kind',
});
const shown = (metric: string, ...events: readonly string[]): FaultSign => ({
  classes: ['ok'],
  events,
  metric,
});
const board = (metric: string, classes: readonly string[], ...events: string[]): FaultSign => ({
  classes,
  events,
  metric,
});

/** Said by the stand-in in its own words. */
function words(
  name: string,
  kind: StandInFaultKind,
  moment: StandInMoment | undefined,
  { parameters = [], imitates = [], ...rest }: Text,
): Fault {
  return {
    name,
    level: 'provider',
    parameters,
    imitates,
    ...rest,
    perRequest: true,
    inject: (values) => ({
      layer: 'provider-words',
      fault: {
        kind,
        ...(moment !== undefined && { moment }),
        afterFraction: 'after' in values ? num(values, 'after') : 0,
      },
    }),
  };
}

/** To the bytes of an answer. */
function wire(
  name: string,
  fault: (values: Values) => WireFault,
  { parameters = [], imitates = [], ...rest }: Text,
): Fault {
  return {
    name,
    level: 'provider',
    parameters,
    imitates,
    ...rest,
    perRequest: true,
    inject: (values) => ({ layer: 'provider-wire', fault: fault(values) }),
  };
}

/** At a moment. */
function timed(
  name: string,
  level: Fault['level'],
  moment: FaultMoment,
  inject: (values: Values) => Injection,
  { parameters = [], imitates = [], ...rest }: Text,
): Fault {
  return { name, level, moment, parameters, imitates, ...rest, perRequest: false, inject };
}

/** To the messages of the server. */
function frames(
  name: string,
  level: Fault['level'],
  inject: (values: Values) => Injection,
  { parameters = [], imitates = [], ...rest }: Text,
): Fault {
  return { name, level, parameters, imitates, ...rest, perRequest: false, inject };
}

const onSpeech: FaultMoment = { event: 'Speech', delayMs: 0 };
/** By then the provider has spoken, and its connection may be needed again. */
const onSound: FaultMoment = { event: 'StartAudio', delayMs: 50 };
const inAnswer: FaultMoment = { event: 'StartAudio', delayMs: 400 };

const wireTexts = {
  message: 'behind which message with sound of an answer, from 1',
} as const;

const refusedStatus = (
  name: string,
  status: number,
  classes: readonly string[],
  imitates: readonly string[],
  about: string,
): Fault =>
  wire(name, () => ({ kind: 'refuse', status }), { about, imitates, sign: failed(...classes) });

const provider: readonly Fault[] = [
  words('refuse-key', 'auth', undefined, {
    about: 'the provider refuses the credentials in its own words',
    imitates: ['P10'],
    sign: failed('auth'),
  }),
  words('out-of-credit', 'quota', undefined, {
    about: 'the provider says that no credit is left',
    imitates: ['P03'],
    sign: failed('quota', 'rate-limit'),
  }),
  words('too-many-requests', 'rate-limit', undefined, {
    about: 'the provider says that there were too many requests, and when to come back',
    imitates: ['P09', 'M04'],
    sign: failed('rate-limit'),
  }),
  words('unknown-voice', 'bad-voice', undefined, {
    about: 'the provider does not know the voice',
    imitates: ['P11', 'P16'],
    sign: failed('bad-voice', 'empty', 'server'),
  }),
  words('text-too-long', 'too-long', undefined, {
    about: 'the provider takes no text of this length',
    imitates: ['P11'],
    sign: failed('too-long', 'bad-request'),
  }),
  words('provider-error', 'server', undefined, {
    about: 'the provider fails inside and says so',
    imitates: ['S07', 'P15'],
    sign: failed('server'),
  }),
  words('provider-gives-up', 'timeout', undefined, {
    about: 'the provider says that it, or the client, took too long',
    imitates: ['P01', 'P06'],
    sign: failed('timeout'),
  }),
  words('stray-page', 'protocol', 'answer', {
    about: 'a page of HTML comes in the place of the answer',
    imitates: ['A01'],
    sign: failed('protocol'),
  }),
  words('garbage-answer', 'protocol', 'mid-audio', {
    about: 'something that is none of the protocol comes in the middle of the sound',
    imitates: ['P05'],
    sign: failed('protocol'),
    parameters: [share('after', 'share of the clip that comes before', 0.5)],
  }),
  words('cut-audio', 'cut', 'mid-audio', {
    about: 'the connection breaks in the middle of the sound',
    imitates: ['P05', 'S10'],
    sign: failed('truncated', 'network'),
    parameters: [share('after', 'share of the clip that comes before', 0.4)],
  }),
  words('cut-before-audio', 'cut', 'first-audio', {
    about: 'the connection breaks behind the head of the answer, before any sound',
    imitates: ['P12'],
    sign: failed('network'),
  }),
  words('end-early', 'early-end', 'mid-audio', {
    about: 'the answer ends properly in the middle of its sound; nothing on the wire tells',
    imitates: ['P05', 'P13'],
    sign: shown('audio_seconds.provider'),
    parameters: [share('after', 'share of the clip that comes before', 0.5)],
  }),
  words('leave-without-end', 'early-end', 'end', {
    about:
      'the provider closes in order behind the last sound, without the sign that it was the last',
    imitates: ['P05', 'P08'],
    sign: failed('truncated'),
  }),
  words('swallow-end', 'stall', 'end', {
    about: 'the sign that all has been said never comes; the connection stays open',
    imitates: ['P08', 'S08'],
    sign: failed('timeout'),
  }),
  words('empty-answer', 'empty', undefined, {
    about: 'the provider reports success without any sound',
    imitates: ['P16', 'S07'],
    sign: failed('empty'),
  }),
  words('no-answer', 'stall', 'answer', {
    about: 'the request is taken and never answered',
    imitates: ['S09', 'M08'],
    sign: failed('timeout'),
  }),
  words('stop-talking', 'stall', 'mid-audio', {
    about: 'nothing more comes in the middle of the sound; the connection stays open',
    imitates: ['P02', 'S09'],
    sign: failed('timeout'),
    parameters: [share('after', 'share of the clip that comes before', 0.5)],
  }),
  refusedStatus(
    'status-401',
    401,
    ['auth'],
    ['P10'],
    'HTTP 401 without any words of the service, as a proxy in front of it says',
  ),
  refusedStatus('status-402', 402, ['quota'], ['P03'], 'HTTP 402: payment required'),
  refusedStatus('status-403', 403, ['auth'], ['P10'], 'HTTP 403: forbidden'),
  refusedStatus('status-404', 404, ['bad-request'], ['P11'], 'HTTP 404: nothing is there'),
  refusedStatus('status-413', 413, ['too-long'], ['P11'], 'HTTP 413: the request is too large'),
  refusedStatus(
    'status-429',
    429,
    ['rate-limit'],
    ['P09', 'M04'],
    'HTTP 429 that does not say when to come back',
  ),
  wire(
    'status-429-wait',
    (values) => ({ kind: 'refuse', status: 429, retryAfterS: num(values, 'wait_s') }),
    {
      about: 'HTTP 429 that says when to come back',
      imitates: ['P09', 'M04'],
      sign: failed('rate-limit'),
      parameters: [whole('wait_s', 'seconds of Retry-After', 's', [0, 86_400], 3)],
    },
  ),
  refusedStatus('status-500', 500, ['server'], ['S07'], 'HTTP 500: an error inside'),
  wire(
    'status-503',
    (values) => ({ kind: 'refuse', status: 503, retryAfterS: num(values, 'wait_s') }),
    {
      about: 'HTTP 503: not available now, with the time to come back',
      imitates: ['P15'],
      sign: failed('server'),
      parameters: [whole('wait_s', 'seconds of Retry-After', 's', [0, 86_400], 2)],
    },
  ),
  wire(
    'redirect',
    () => ({ kind: 'refuse', status: 302, location: 'https://login.example.net/' }),
    {
      about: 'HTTP 302 to a page where somebody has to log in, as hotel networks do',
      imitates: ['P11'],
      sign: failed('protocol', 'bad-request'),
    },
  ),
  wire('late-head', (values) => ({ kind: 'late-head', ms: num(values, 'ms') }), {
    about: 'the head of the answer comes late',
    imitates: ['P07', 'P18'],
    sign: shown('ttfb_ms'),
    parameters: [ms('ms', 'how much later', 3000)],
  }),
  wire('wrong-mime', (values) => ({ kind: 'mime', type: text(values, 'type') }), {
    about: 'the head names another type of content than comes',
    imitates: ['A01'],
    sign: failed('protocol', 'ok'),
    parameters: [
      choice(
        'type',
        'what it says',
        ['text/html', 'audio/mpeg', 'application/json', 'application/octet-stream'],
        'text/html',
      ),
    ],
  }),
  wire('wrong-rate', (values) => ({ kind: 'rate', rateHz: num(values, 'rate_hz') }), {
    about: 'the header of the WAV file, or the type of the content, lies about the sampling rate',
    imitates: ['A03', 'P17'],
    sign: shown('audio_seconds.provider'),
    parameters: [whole('rate_hz', 'what it says', 'Hz', [8000, 96_000], 48_000)],
  }),
  wire(
    'wrong-chunk-size',
    (values) => ({
      kind: 'chunk-size',
      nth: num(values, 'message'),
      by: num(values, 'by'),
    }),
    {
      about: 'the size in front of a chunk of the body is wrong',
      imitates: ['A04'],
      sign: failed('protocol', 'network', 'timeout'),
      parameters: [
        count('message', 'which chunk with sound, from 1', 2),
        whole('by', 'how much too large', 'bytes', [-100_000, 100_000], 7),
      ],
    },
  ),
  wire('wrong-length', (values) => ({ kind: 'length', by: num(values, 'by') }), {
    about: 'the head announces another length of the body than comes',
    imitates: ['A01'],
    sign: failed('timeout', 'truncated', 'network', 'protocol'),
    parameters: [whole('by', 'how much too large', 'bytes', [-1_000_000, 1_000_000], 1000)],
  }),
  wire(
    'delay-audio',
    (values) => ({
      kind: 'delay',
      nth: num(values, 'message'),
      ms: num(values, 'ms'),
    }),
    {
      about: 'one message with sound, and all behind it, comes late',
      imitates: ['A06', 'P14'],
      sign: shown('underruns.total_ms', 'device `underrunStart`'),
      parameters: [nth(3), ms('ms', 'how much later', 2000)],
    },
  ),
  wire('duplicate-audio', (values) => ({ kind: 'duplicate', nth: num(values, 'message') }), {
    about: 'one message with sound comes twice',
    imitates: ['S10', 'P13'],
    sign: shown('audio_seconds.provider'),
    parameters: [nth(2)],
  }),
  wire('reorder-audio', (values) => ({ kind: 'reorder', nth: num(values, 'message') }), {
    about: 'one message with sound changes its place with the next one',
    imitates: ['P13'],
    sign: shown('audio_seconds.provider'),
    parameters: [nth(2)],
  }),
  wire('drop-audio', (values) => ({ kind: 'drop', nth: num(values, 'message') }), {
    about: 'one message with sound never comes',
    imitates: ['P13', 'P16'],
    sign: shown('audio_seconds.provider'),
    parameters: [nth(2)],
  }),
  wire('garbage-json', (values) => ({ kind: 'broken-json', nth: num(values, 'message') }), {
    about: 'one message of JSON is only half there',
    imitates: ['P03', 'P05'],
    sign: failed('protocol'),
    parameters: [count('message', 'which message of JSON, from 1', 2)],
  }),
  wire('odd-pieces', (values) => ({ kind: 'pieces', bytes: num(values, 'bytes') }), {
    about: 'the sound comes in pieces of an odd number of bytes, which cut samples in half',
    imitates: ['A04'],
    sign: shown('conservation.lost_samples'),
    parameters: [whole('bytes', 'size of a piece', 'bytes', [1, 100_000], 1001)],
  }),
  wire('lost-byte', (values) => ({ kind: 'lost-byte', nth: num(values, 'message') }), {
    about: 'one byte of the sound is missing, and what follows is noise',
    imitates: ['A04'],
    sign: shown('audio_seconds.provider'),
    parameters: [nth(2)],
  }),
  wire('byte-swap', () => ({ kind: 'byte-swap' }), {
    about: 'both bytes of every sample are exchanged: noise with the right length',
    imitates: ['A02', 'A04'],
    sign: shown('audible_at_speaker_ms'),
  }),
  wire('quiet-audio', (values) => ({ kind: 'gain', db: -num(values, 'by_db') }), {
    about: 'the sound is much quieter than usual',
    imitates: ['A10'],
    sign: shown('audible_at_speaker_ms'),
    parameters: [whole('by_db', 'how much quieter', 'dB', [1, 90], 12)],
  }),
  wire(
    'silent-audio',
    (values) => ({
      kind: 'silence',
      nth: num(values, 'message'),
      count: num(values, 'count'),
    }),
    {
      about: 'messages come with zeros in the place of their sound',
      imitates: ['M03', 'A05'],
      sign: { classes: ['silent', 'ok'], events: [], metric: 'failure.kind' },
      parameters: [nth(1), count('count', 'how many messages', 1_000_000, 1_000_000)],
    },
  ),
  wire(
    'noise-audio',
    (values) => ({
      kind: 'noise',
      nth: num(values, 'message'),
      count: num(values, 'count'),
    }),
    {
      about: 'messages come with loud noise in the place of their sound',
      imitates: ['A04'],
      sign: shown('audible_at_speaker_ms'),
      parameters: [nth(2), count('count', 'how many messages', 1)],
    },
  ),
  wire('header-in-audio', () => ({ kind: 'header-each' }), {
    about: 'every message with sound begins with the header of a WAV file',
    imitates: ['A02'],
    sign: shown('audio_seconds.provider'),
  }),
  wire('wrong-wav-sizes', (values) => ({ kind: 'wav-sizes', bytes: num(values, 'bytes') }), {
    about: 'the sizes in the header of the WAV file are placeholders',
    imitates: ['A01'],
    sign: shown('audio_seconds.provider'),
    parameters: [whole('bytes', 'both sizes', 'bytes', [0, 0xffff_ffff], 0x7fff_ffff)],
  }),
  wire('cut-wav-header', (values) => ({ kind: 'cut-header', bytes: num(values, 'bytes') }), {
    about: 'only a part of the header of the WAV file comes, and the answer ends in order',
    imitates: ['A01'],
    sign: failed('protocol', 'empty', 'truncated', 'network'),
    parameters: [whole('bytes', 'how much comes', 'bytes', [0, 43], 20)],
  }),
  wire(
    'close-code',
    (values) => ({
      kind: 'close-code',
      nth: num(values, 'message'),
      code: num(values, 'code'),
    }),
    {
      about: 'the provider closes its WebSocket with a code behind one message with sound',
      imitates: ['P01', 'P04', 'P05', 'P10'],
      sign: failed('truncated', 'timeout', 'server', 'auth', 'network', 'quota'),
      parameters: [
        count('message', wireTexts.message, 1),
        whole('code', 'of the close frame', '', [1000, 4999], 1011),
      ],
    },
  ),
  wire('hold-for-pong', (values) => ({ kind: 'await-pong', nth: num(values, 'message') }), {
    about: 'the provider pings, and says nothing more before it has the pong',
    imitates: ['P02'],
    sign: shown('ttfb_ms'),
    parameters: [count('message', wireTexts.message, 1)],
  }),
  wire(
    'drip-audio',
    (values) => ({
      kind: 'drip',
      bytesPerSecond: num(values, 'bytes_per_second'),
    }),
    {
      about: 'the sound comes at a rate below that of speech',
      imitates: ['P07', 'S02'],
      sign: shown('underruns.total_ms', 'device `underrunStart`'),
      parameters: [whole('bytes_per_second', 'rate', 'B/s', [1000, 10_000_000], 24_000)],
    },
  ),
  wire('hold-until-complete', () => ({ kind: 'hold' }), {
    about: 'all sound is held back until the answer is complete, as a buffering proxy does',
    imitates: ['P07', 'M07'],
    sign: shown('ttfb_ms'),
  }),
];

const unreachable = (
  name: string,
  code: UnreachableCode,
  imitates: readonly string[],
  about: string,
): Fault =>
  timed(
    name,
    'network',
    onSpeech,
    (values) => ({
      layer: 'provider-link',
      disturbance: { kind: 'unreachable', code, durationUs: num(values, 'ms') * 1000 },
    }),
    {
      about,
      imitates,
      sign: failed('network'),
      parameters: [ms('ms', 'for how long', 20_000)],
    },
  );

const network: readonly Fault[] = [
  unreachable('dns-failure', 'NETWORK_NOT_FOUND', ['M06'], 'nobody knows the name of the provider'),
  unreachable(
    'tls-failure',
    'NETWORK_TLS',
    ['M06', 'P18'],
    'the certificate of the provider is not trusted',
  ),
  unreachable('provider-refused', 'NETWORK_REFUSED', ['P02'], 'nobody listens at the provider'),
  unreachable('no-route', 'NETWORK_UNREACHABLE', ['P02'], 'there is no way to the provider'),
  timed(
    'connect-hangs',
    'network',
    onSpeech,
    (values) => ({
      layer: 'provider-link',
      disturbance: { kind: 'no-connect', durationUs: num(values, 'ms') * 1000 },
    }),
    {
      about: 'a connection to the provider is neither accepted nor refused',
      imitates: ['S09', 'M08'],
      sign: failed('timeout', 'network'),
      parameters: [ms('ms', 'for how long', 20_000)],
    },
  ),
  timed(
    'slow-connect',
    'network',
    onSpeech,
    (values) => ({
      layer: 'provider-link',
      disturbance: {
        kind: 'slow-connect',
        delayUs: num(values, 'by_ms') * 1000,
        durationUs: num(values, 'ms') * 1000,
      },
    }),
    {
      about: 'to connect to the provider takes long, and open connections are gone',
      imitates: ['P18', 'M06'],
      sign: shown('connect_ms'),
      parameters: [ms('by_ms', 'how much longer', 1500), ms('ms', 'for how long', 20_000)],
    },
  ),
  {
    ...wire(
      'provider-half-open',
      (values) => ({ kind: 'half-open', nth: num(values, 'message') }),
      {
        about:
          'from a message with sound on the connection looks open, but nothing passes any more, either way',
        imitates: ['P02', 'P12'],
        sign: failed('timeout'),
        parameters: [nth(1)],
      },
    ),
    level: 'network',
  },
  {
    ...wire('provider-reset', (values) => ({ kind: 'reset', nth: num(values, 'message') }), {
      about: 'behind a message with sound the connection to the provider is reset',
      imitates: ['P02', 'P12'],
      sign: failed('truncated', 'network'),
      parameters: [count('message', wireTexts.message, 1)],
    }),
    level: 'network',
  },
  timed(
    'provider-stall',
    'network',
    onSound,
    (values) => ({
      layer: 'provider-link',
      disturbance: { kind: 'stall', direction: 'down', durationUs: num(values, 'ms') * 1000 },
    }),
    {
      about: 'nothing arrives from the provider for a while, then all of it',
      imitates: ['A06', 'S02'],
      sign: shown('underruns.total_ms'),
      parameters: [ms('ms', 'for how long', 2500)],
    },
  ),
  timed(
    'wifi-stall',
    'network',
    inAnswer,
    (values) => ({
      layer: 'board-link',
      disturbance: {
        kind: 'stall',
        direction: text(values, 'direction') as 'down',
        durationUs: num(values, 'ms') * 1000,
      },
    }),
    {
      about: 'nothing passes between board and server for a while, then all of it',
      imitates: ['D04', 'D06', 'S01'],
      sign: shown('underruns.total_ms', 'network `stall`', 'device `underrunStart`'),
      parameters: [
        ms('ms', 'for how long', 1200),
        choice('direction', 'which way', ['down', 'up', 'both'], 'down'),
      ],
    },
  ),
  timed(
    'wifi-lost',
    'network',
    inAnswer,
    () => ({ layer: 'board-link', disturbance: { kind: 'drop' } }),
    {
      about: 'the connection between board and server breaks in the middle of a sentence',
      imitates: ['S13', 'D11', 'S14'],
      sign: board(
        'failure.kind',
        ['ok', 'reboot', 'turn-timeout', 'interrupted'],
        'network `drop`',
        'device `disconnected`',
      ),
    },
  ),
  timed(
    'wifi-roams',
    'network',
    inAnswer,
    (values) => ({
      layer: 'board-link',
      disturbance: { kind: 'stall', direction: 'both', durationUs: num(values, 'ms') * 1000 },
    }),
    {
      about: 'the board changes its access point: nothing passes either way, and then all of it',
      imitates: ['D04', 'D06'],
      sign: shown('underruns.total_ms', 'network `stall`'),
      parameters: [ms('ms', 'how long the handover takes', 700, 20_000)],
    },
  ),
  timed(
    'wifi-gets-weak',
    'network',
    inAnswer,
    (values) => ({
      layer: 'board-network',
      network: text(values, 'to'),
      durationMs: num(values, 'ms'),
    }),
    {
      about: 'the link between board and server is another network for a while',
      imitates: ['D04', 'D12'],
      sign: shown('underruns.total_ms', 'network `change`'),
      parameters: [
        choice('to', 'name of the network', networkNames, 'weak-wifi'),
        ms('ms', 'for how long', 4000),
      ],
    },
  ),
  timed(
    'board-half-open',
    'network',
    inAnswer,
    () => ({ layer: 'board-link', disturbance: { kind: 'half-open' } }),
    {
      about: 'the connection between board and server looks open, but nothing passes any more',
      imitates: ['D09', 'S08'],
      sign: board('failure.kind', ['turn-timeout'], 'device `underrunStart`'),
    },
  ),
];

/** Codes that may stand in a close frame (RFC 6455, section 7.4), and one of the range for applications. */
const closeCodes = ['1000', '1001', '1003', '1008', '1009', '1011', '1012', '1013', '4000'];

const server: readonly Fault[] = [
  timed(
    'server-restarts',
    'server',
    inAnswer,
    (values) => ({
      layer: 'server',
      intervention: { kind: 'shutdown' },
      awayMs: num(values, 'away_ms'),
    }),
    {
      about: 'the server says goodbye with code 1001, and is back after a while',
      imitates: ['S13', 'S14', 'D11'],
      sign: board(
        'failure.kind',
        ['ok', 'reboot', 'turn-timeout', 'interrupted'],
        'server `disconnected`',
      ),
      parameters: [ms('away_ms', 'how long it is away', 2000, 120_000)],
    },
  ),
  timed(
    'server-crashes',
    'server',
    inAnswer,
    (values) => ({
      layer: 'board-link',
      disturbance: { kind: 'away', durationUs: num(values, 'away_ms') * 1000 },
    }),
    {
      about: 'the connections of the server break without a word, and it is back after a while',
      imitates: ['S13', 'D11'],
      sign: board(
        'failure.kind',
        ['ok', 'reboot', 'turn-timeout', 'interrupted'],
        'network `away`',
      ),
      parameters: [ms('away_ms', 'how long it is away', 3000, 120_000)],
    },
  ),
  timed(
    'server-closes',
    'server',
    inAnswer,
    (values) => ({
      layer: 'server',
      intervention: { kind: 'close', code: num(values, 'code') },
    }),
    {
      about: 'the server closes the connection of the board with a code',
      imitates: ['S13'],
      sign: board(
        'failure.kind',
        ['ok', 'reboot', 'turn-timeout', 'interrupted'],
        'device `disconnected`',
      ),
      parameters: [choice('code', 'of the close frame', closeCodes, '1008')],
    },
  ),
  timed(
    'ping-board',
    'server',
    inAnswer,
    () => ({ layer: 'server', intervention: { kind: 'ping' } }),
    {
      about: 'the server pings the board in mid answer, when its main loop is busy',
      imitates: ['D09', 'S13'],
      sign: shown('failure.kind', 'server `ping`', 'server `pong`'),
    },
  ),
  timed(
    'unknown-message',
    'server',
    inAnswer,
    (values) => ({
      layer: 'server',
      intervention: { kind: 'message', event: text(values, 'message') as 'Choices' },
    }),
    {
      about: 'the server sends a message that no firmware knows',
      imitates: ['S15'],
      sign: shown('failure.kind', 'device `frameRejected`'),
      parameters: [choice('message', 'which one', ['Choices', 'DisplayText'], 'Choices')],
    },
  ),
  frames(
    'delay-frame',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'delay', event: 'sound', nth: num(values, 'message'), ms: num(values, 'ms') },
    }),
    {
      about: 'one message with sound, and all behind it, reaches the board late',
      imitates: ['S02', 'S04'],
      sign: shown('underruns.total_ms', 'device `underrunStart`'),
      parameters: [nth(3), ms('ms', 'how much later', 1500)],
    },
  ),
  frames(
    'duplicate-frame',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'duplicate', event: 'sound', nth: num(values, 'message') },
    }),
    {
      about: 'one message with sound reaches the board twice',
      imitates: ['S10'],
      sign: shown('conservation.unexplained_samples', 'device `frameReceived`'),
      parameters: [nth(2)],
    },
  ),
  frames(
    'reorder-frames',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'reorder', event: 'sound', nth: num(values, 'message') },
    }),
    {
      about: 'one message with sound changes its place with the next one',
      imitates: ['D06'],
      sign: shown('failure.kind', 'device `frameReceived`'),
      parameters: [nth(2)],
    },
  ),
  frames(
    'drop-frame',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'drop', event: 'sound', nth: num(values, 'message') },
    }),
    {
      about: 'one message with sound never reaches the board',
      imitates: ['D06', 'S06'],
      sign: shown('conservation.unexplained_samples'),
      parameters: [nth(2)],
    },
  ),
  frames(
    'garbage-frame',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'garbage', event: 'sound', nth: num(values, 'message') },
    }),
    {
      about: 'one message with sound reaches the board as something that is no MessagePack',
      imitates: ['S15', 'S16'],
      sign: shown('conservation.unexplained_samples', 'device `frameRejected`'),
      parameters: [nth(2)],
    },
  ),
  frames(
    'half-frame',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'cut', event: 'sound', nth: num(values, 'message') },
    }),
    {
      about: 'only the first half of a message with sound reaches the board',
      imitates: ['S16'],
      sign: shown('conservation.unexplained_samples', 'device `frameRejected`'),
      parameters: [nth(2)],
    },
  ),
  frames(
    'fragment-frame',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'fragment', event: 'sound', nth: num(values, 'message') },
    }),
    {
      about: 'one message with sound reaches the board in two frames of the WebSocket',
      imitates: ['S16'],
      sign: shown('failure.kind', 'device `frameReceived`'),
      parameters: [nth(2)],
    },
  ),
  frames(
    'swallow-end-audio',
    'server',
    (values) => ({
      layer: 'board-wire',
      fault: { kind: 'drop', event: 'EndAudio', nth: num(values, 'message') },
    }),
    {
      about: 'the end of a sentence never reaches the board',
      imitates: ['S07', 'S08'],
      sign: shown('failure.kind'),
      parameters: [count('message', 'of which sentence, from 1', 1)],
    },
  ),
  frames(
    'swallow-end-response',
    'server',
    () => ({ layer: 'board-wire', fault: { kind: 'drop', event: 'EndResponse', nth: 1 } }),
    {
      about: 'the end of the answer never reaches the board, which waits for it for ever',
      imitates: ['S08'],
      sign: board('failure.kind', ['turn-timeout']),
    },
  ),
];

/** Rows of the catalogue that breakdowns of the chip imitate. */
const breakdownRows: Partial<Record<SuddenFaultName, readonly string[]>> = {
  'rust-panic': ['D14'],
  'guru-meditation': ['D14'],
  'interrupt-watchdog': ['D14'],
  'stack-overflow': ['D14'],
  'stack-canary': ['D14'],
  abort: ['D14'],
  'assert-failed': ['D14'],
  'out-of-memory': ['D12', 'D14'],
  'task-watchdog': ['D15'],
  'brown-out': ['D13'],
  'esp-restart': ['D11'],
  'power-loss': ['D13'],
  unplug: ['R03'],
  vanish: ['R05'],
  'loose-cable': ['R05'],
  silence: ['R06'],
};

const breakdowns: readonly Fault[] = (Object.keys(suddenFaults) as SuddenFaultName[]).map(
  (failure) => {
    const { about, aftermath } = suddenFaults[failure];
    const resets = aftermath.kind === 'reset' || aftermath.kind === 'power cycle';
    const name = failure === 'silence' ? 'console-silent' : failure;
    return timed(
      name,
      resets ? 'device' : 'serial',
      inAnswer,
      () => ({ layer: 'board', failure }),
      {
        about: about.replace(/ \([RD]\d+\)/, ''),
        imitates: breakdownRows[failure] ?? [],
        sign: resets
          ? board('failure.kind', ['reboot'], 'device `reboot`', 'serial `reset`')
          : board('failure.kind', ['ok'], 'serial `gone`', 'serial `returned`', 'serial `remark`'),
      },
    );
  },
);

const line = (
  name: string,
  chance: 'flip' | 'lose' | 'insert',
  imitates: readonly string[],
  about: string,
): Fault =>
  timed(
    name,
    'serial',
    inAnswer,
    (values) => ({
      layer: 'line',
      noise: { [chance]: num(values, 'per_million') / 1e6 },
      durationMs: num(values, 'ms'),
    }),
    {
      about,
      imitates,
      sign: board('failure.kind', ['ok'], 'serial `remark`', 'serial `line`'),
      parameters: [
        whole('per_million', 'bytes of a million', '', [1, 1_000_000], 500),
        ms('ms', 'for how long', 5000),
      ],
    },
  );

const serial: readonly Fault[] = [
  line('console-noise', 'flip', ['R09'], 'bits on the serial line are wrong now and then'),
  line('line-overrun', 'lose', ['R09'], 'bytes on the serial line are lost now and then'),
  line('framing-errors', 'insert', ['R09'], 'bytes that nobody sent appear on the serial line'),
  timed(
    'line-dead',
    'serial',
    inAnswer,
    (values) => ({ layer: 'line', noise: { lose: 1 }, durationMs: num(values, 'ms') }),
    {
      about:
        'nothing passes on the serial line for a while: a link on it has to find its place again',
      imitates: ['R05', 'R06'],
      sign: board('failure.kind', ['ok'], 'serial `remark`'),
      parameters: [ms('ms', 'for how long', 300)],
    },
  ),
];

const host: readonly Fault[] = [
  timed(
    'clock-step',
    'host',
    inAnswer,
    (values) => ({ layer: 'host', trouble: { kind: 'skip', ms: num(values, 'ms') } }),
    {
      about: 'the clock jumps ahead, as on a computer that was suspended: what was due is late',
      imitates: ['C01', 'S04'],
      sign: shown('underruns.total_ms', 'harness `lag`'),
      parameters: [ms('ms', 'how far', 1500, 30_000)],
    },
  ),
  timed(
    'busy-host',
    'host',
    onSpeech,
    (values) => ({ layer: 'host', trouble: { kind: 'skip', ms: num(values, 'ms') } }),
    {
      about: 'the computer stands still for a moment while the user speaks',
      imitates: ['S04', 'C01', 'R11'],
      sign: shown('end_of_turn_ms', 'harness `lag`'),
      parameters: [ms('ms', 'for how long', 200, 30_000)],
    },
  ),
  timed('disk-full', 'host', inAnswer, () => ({ layer: 'host', trouble: { kind: 'disk-full' } }), {
    about: 'nothing more can be written to the recording',
    imitates: ['C02'],
    sign: board('failure.kind', ['infra: RECORDING_DISK_FULL']),
  }),
  timed(
    'slow-disk',
    'host',
    onSpeech,
    (values) => ({
      layer: 'host',
      trouble: { kind: 'slow-disk', every: num(values, 'every'), ms: num(values, 'ms') },
    }),
    {
      about: 'now and then a write to the recording takes long, and everything waits for it',
      imitates: ['S04', 'C02'],
      sign: shown('underruns.total_ms', 'harness `lag`'),
      parameters: [
        count('every', 'one of how many writes', 100, 1_000_000),
        ms('ms', 'how long it takes', 100, 10_000),
      ],
    },
  ),
];

/** All faults, by level. */
export const faults: readonly Fault[] = [
  ...provider,
  ...server,
  ...network,
  ...breakdowns.filter(({ level }) => level === 'device'),
  ...breakdowns.filter(({ level }) => level === 'serial'),
  ...serial,
  ...host,
];

export const faultNames: readonly string[] = faults.map(({ name }) => name);

const byName: ReadonlyMap<string, Fault> = new Map(faults.map((fault) => [fault.name, fault]));

export function findFault(name: string): Fault | undefined {
  return byName.get(name);
}

/** The layer that it is done to, whatever its values are. */
export function layerOf({ parameters, inject }: Fault): FaultLayer {
  return inject(Object.fromEntries(parameters.map(({ name, fallback }) => [name, fallback]))).layer;
}

/** The name that was probably meant. */
export function nearestFault(name: string): string | undefined {
  return nearestName(name, faultNames);
}
