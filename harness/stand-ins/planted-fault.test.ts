import { readFileSync } from 'node:fs';
import test from 'ava';
import { taskFaults } from './cosyvoice-stand-in.ts';
import { socketFaults } from './elevenlabs-protocol.ts';
import { liveFaults } from './fish-protocol.ts';
import {
  chunkedFaults,
  eventFaults,
  type FaultTable,
  fileFaults,
  plantFault,
} from './planted-fault.ts';
import { faultMoments, standInFaultKinds } from './stand-in-changes.ts';
import { laboratory } from './test-client.ts';

const tables: readonly FaultTable[] = [
  chunkedFaults,
  fileFaults,
  eventFaults,
  socketFaults,
  taskFaults,
  liveFaults,
];

test('the README has the moments of every fault in every protocol', (t) => {
  const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
  const section = readme.slice(readme.indexOf('### Moments'));
  for (const kind of standInFaultKinds) {
    const row = new RegExp(`^\\| \`${kind}\` +\\|(.*)\\|$`, 'm').exec(section)?.[1] ?? '';
    const cells = tables.map(({ [kind]: moments }) =>
      faultMoments
        .filter((moment) => moments?.includes(moment))
        .map((moment) => (moment === moments?.[0] ? `**${moment}**` : moment))
        .join(', '),
    );
    t.deepEqual(
      row.split('|').map((cell) => cell.trim()),
      cells.map((cell) => cell || '–'),
      kind,
    );
  }
});

test('a fault has its usual moment, the one that is asked for, or an obstacle', (t) => {
  const table: FaultTable = { stall: ['mid-audio', 'end'] };
  t.deepEqual(plantFault({ kind: 'stall', afterFraction: 0.3 }, table), {
    kind: 'stall',
    moment: 'mid-audio',
    share: 0.3,
  });
  t.like(plantFault({ kind: 'stall', moment: 'end', afterFraction: 0 }, table), {
    moment: 'end',
    share: 1,
  });
  t.deepEqual(plantFault({ kind: 'stall', moment: 'answer', afterFraction: 0 }, table), {
    obstacle: 'its protocol cannot express stall at "answer", only at mid-audio, end',
  });
  t.deepEqual(plantFault({ kind: 'auth', afterFraction: 0 }, table), {
    obstacle: 'its protocol has no way to express auth',
  });
});

test('a stand-in reports when its fault strikes, and when it cannot', async (t) => {
  const reports: unknown[] = [];
  const body = { model: 'tts-1', input: 'Hello.', voice: 'alloy', response_format: 'pcm' };
  const headers = { authorization: 'Bearer sk' };
  for (const moment of ['answer', 'end'] as const) {
    const lab = await laboratory('openai', {
      changes: { fault: { kind: 'server', request: 2, moment, afterFraction: 0 } },
      onFault: ({ atUs: _, ...report }) => reports.push(report),
    });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const answer = lab.post('/v1/audio/speech', body, { headers });
      statuses.push((await lab.clock.run(answer)).status);
    }
    t.deepEqual(statuses, moment === 'answer' ? [200, 500, 200] : [200, 200, 200]);
  }
  const server = { request: 2, kind: 'server' };
  const obstacle = 'openai: its protocol cannot express server at "end", only at answer';
  t.deepEqual(reports, [
    { ...server, moment: 'answer' },
    { ...server, obstacle },
  ]);
});
