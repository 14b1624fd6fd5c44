import test from 'ava';
import type { StandInRequest } from '../stand-ins/stand-in.ts';
import { obstacleLine, requestDetail, requestJson, requestLine } from './request-log.ts';

const request: StandInRequest = {
  request: 1,
  atUs: 12_345_678,
  endedUs: 12_956_678,
  method: 'POST',
  path: '/v1/audio/speech',
  headers: { host: 'h', authorization: '***' },
  body: '{"input":"Hello."}',
  messages: [],
  status: 200,
  audioBytes: 96_000,
  audioSeconds: 2,
  outcome: 'answered',
};

test('a line says when, which service, what was asked and what came of it', (t) => {
  t.is(
    requestLine('openai', request),
    '   12.346 s  openai             POST /v1/audio/speech → 200 after 611 ms, 2.00 s of audio',
  );
  const heard = { ...request, audioSeconds: 0, heardSeconds: 1.5, text: 'How far\nis it?' };
  t.regex(requestLine('transcription', heard), /after 611 ms, heard 1\.50 s, “How far is it\?”$/);
});

test('ends that were not proper, errors and planted faults are named', (t) => {
  const aborted = { ...request, outcome: 'aborted', status: 0, audioSeconds: 0 } as const;
  t.regex(requestLine('chat', aborted), /→ no answer after 611 ms, the client left$/);
  const cut = { ...request, outcome: 'cut', fault: 'cut' } as const;
  t.regex(
    requestLine('gsv', cut),
    /200 after 611 ms, broken off, 2\.00 s of audio, planted fault cut$/,
  );
  const refused = { ...request, status: 401, audioSeconds: 0, error: 'invalid_api_key' };
  t.regex(requestLine('openai', refused), /→ 401 after 611 ms, invalid_api_key$/);
  const closed = { ...request, status: 101, audioSeconds: 0, closeCode: 1008 };
  t.regex(requestLine('elevenlabs', closed), /→ 101 after 611 ms, close code 1008$/);
});

test('details are headers, body and messages; what is no text is not shown', (t) => {
  const messages = [{ atUs: 12_400_000, text: '{"text":"Hi"}' }];
  t.deepEqual(
    requestDetail({ ...request, messages })
      .split('\n')
      .map((line) => line.trim()),
    ['host: h', 'authorization: ***', '', '{"input":"Hello."}', '', '12.400 s  {"text":"Hi"}'],
  );
  t.regex(requestDetail({ ...request, messages, messagesLeftOut: 3 }), /\(3 more messages\)$/);
  const evil = requestDetail({ ...request, body: 'a\u001b[2Jb' });
  t.false(evil.includes('\u001b'));
  t.regex(evil, /6 characters that are no text/);
  t.regex(requestDetail({ ...request, body: 'x'.repeat(5000) }), /x… \(1000 more characters\)$/);
});

test('the JSON is one line with everything', (t) => {
  const json = requestJson('openai', request);
  t.false(json.includes('\n'));
  t.deepEqual(JSON.parse(json), { type: 'request', service: 'openai', ...request });
});

test('a planted fault that cannot happen has a line, one that did is told with its request', (t) => {
  const report = { atUs: 1_500_000, request: 2, kind: 'auth' } as const;
  t.is(obstacleLine('openai', { ...report, moment: 'answer' }), undefined);
  t.is(
    obstacleLine('openai', { ...report, obstacle: 'there are no words for it' }),
    '    1.500 s  openai             the planted fault cannot happen to request 2: there are no words for it',
  );
});
