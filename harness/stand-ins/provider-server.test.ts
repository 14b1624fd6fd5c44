import test from 'ava';
import {
  entryCharactersMax,
  keepMessage,
  logEntriesMax,
  type OpenRequest,
} from './provider-server.ts';
import { dialogueLaboratory } from './test-client.ts';

const script = { recognitionMs: 0, turns: [] };

test('a log keeps its newest entries, also of a stand-in that nobody has set a number for', async (t) => {
  const concluded: string[] = [];
  const lab = await dialogueLaboratory('chat', {
    script,
    onRequest: ({ path }) => concluded.push(path),
  });
  const asked = logEntriesMax + 20;
  for (let i = 0; i < asked; i++) await lab.clock.run(lab.request('GET', `/nothing/${i}`));
  const { log } = lab.standIn;
  t.is(log.length, logEntriesMax);
  t.is(log[0]!.path, '/nothing/20');
  t.is(log.at(-1)!.path, `/nothing/${asked - 1}`);
  t.is(concluded.length, asked, 'all are told to whoever prints them');
  const none = await dialogueLaboratory('chat', { script, logEntries: 0 });
  await none.clock.run(none.request('GET', '/nothing'));
  t.deepEqual(none.standIn.log, []);
});

test('a body is cut where an entry is full', async (t) => {
  const lab = await dialogueLaboratory('chat', { script });
  const body = 'x'.repeat(entryCharactersMax);
  await lab.clock.run(lab.request('POST', '/nothing', { body }));
  await lab.clock.run(lab.request('POST', '/nothing', { body: `${body}yz` }));
  t.deepEqual(
    lab.standIn.log.map((entry) => entry.body),
    [body, `${body}…`],
  );
});

test('messages of a socket are kept until an entry is full, and counted from then on', (t) => {
  const entry: OpenRequest = {
    atUs: 0,
    method: 'GET',
    path: '/',
    headers: {},
    body: '',
    messages: [],
    status: 101,
    audioBytes: 0,
    audioSeconds: 0,
    outcome: 'open',
  };
  const half = 'x'.repeat(entryCharactersMax / 2 + 1);
  for (const text of [half, half, 'lost', 'lost']) keepMessage(entry, { atUs: 1, text });
  t.deepEqual(entry.messages, [
    { atUs: 1, text: half },
    { atUs: 1, text: `${half.slice(2)}…` },
  ]);
  t.is(entry.messagesLeftOut, 2);
  const empty: OpenRequest = { ...entry, messages: [] };
  for (let i = 0; i <= entryCharactersMax; i++) keepMessage(empty, { atUs: 1, text: '' });
  t.is(empty.messages.length, entryCharactersMax);
});
