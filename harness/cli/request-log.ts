/** What clients asked of the stand-ins, for people and for programs. */
import type { FaultReport, StandInRequest } from '../stand-ins/stand-in.ts';

/** One line: when, which service, what was asked, what came of it. */
export function requestLine(service: string, request: StandInRequest): string {
  const { method, path, status, outcome, atUs, endedUs = atUs } = request;
  const { audioSeconds, heardSeconds, text, error, fault, closeCode } = request;
  const answer = status === 0 ? 'no answer' : String(status);
  const ending = outcome === 'answered' ? '' : `, ${outcomeWords[outcome]}`;
  const facts = [
    ...(heardSeconds === undefined ? [] : [`heard ${heardSeconds.toFixed(2)} s`]),
    ...(text === undefined ? [] : [`“${shortened(text)}”`]),
    ...(audioSeconds > 0 ? [`${audioSeconds.toFixed(2)} s of audio`] : []),
    ...(error === undefined ? [] : [shortened(error)]),
    ...(fault === undefined ? [] : [`planted fault ${fault}`]),
    ...(closeCode === undefined || closeCode === 1000 ? [] : [`close code ${closeCode}`]),
  ];
  const took = `${Math.round((endedUs - atUs) / 1000)} ms`;
  const result = [`${answer} after ${took}${ending}`, ...facts].join(', ');
  return `${seconds(atUs)}  ${service.padEnd(nameWidth)}  ${method} ${path} → ${result}`;
}

/** One line for a planted fault that cannot happen; undefined for one that did: its request says so. */
export function obstacleLine(
  service: string,
  { atUs, request, obstacle }: FaultReport,
): string | undefined {
  if (obstacle === undefined) return undefined;
  const what = `the planted fault cannot happen to request ${request}`;
  return `${seconds(atUs)}  ${service.padEnd(nameWidth)}  ${what}: ${obstacle}`;
}

/** Headers, body and messages below the line. Credentials were replaced by the stand-in. */
export function requestDetail(request: StandInRequest): string {
  const { headers, body, messages, messagesLeftOut = 0 } = request;
  return [
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === '' ? [] : ['', shown(body)]),
    ...(messages.length === 0 ? [] : ['']),
    ...messages.map(({ atUs, text }) => `${seconds(atUs)}  ${shown(text)}`),
    ...(messagesLeftOut > 0 ? [`(${messagesLeftOut} more messages)`] : []),
  ]
    .join('\n')
    .replace(/^/gm, '             ');
}

/** The same as one JSON document on one line. */
export function requestJson(service: string, request: StandInRequest): string {
  return JSON.stringify({ type: 'request', service, ...request });
}

const nameWidth = 'text-optimization'.length;
const outcomeWords = { open: 'still open', aborted: 'the client left', cut: 'broken off' } as const;
const shownMax = 4000;

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= 60 ? line : `${line.slice(0, 59)}…`;
}

/** A body that is no text is told by its length; no client's bytes may act on the terminal. */
function shown(text: string): string {
  const binary = [...text].some((character) => {
    const code = character.codePointAt(0)!;
    return code === 0xfffd || (code < 32 && !'\t\r\n'.includes(character)) || code === 127;
  });
  if (binary) return `(${text.length} characters that are no text)`;
  const rest = text.length - shownMax;
  return rest <= 0 ? text : `${text.slice(0, shownMax)}… (${rest} more characters)`;
}

function seconds(atUs: number): string {
  return `${(atUs / 1_000_000).toFixed(3).padStart(9)} s`;
}
