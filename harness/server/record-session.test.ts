import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { MemoryNetwork } from '../network/memory-network.ts';
import type { RecordNotice } from './adapter-server.ts';
import { tone } from './planted-speech.contract.ts';
import { recordFolder } from './record-store.ts';
import { ofType, simulate } from './server-laboratory.contract.ts';

const id = 'a1b2c3d4e5f6';
const stamp = () => '20261126_194121+0100';

const folder = mkdtempSync(join(tmpdir(), 'echokit-records-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const newFolder = (): string => join(folder, String(++folders));

async function get(
  network: MemoryNetwork,
  path: string,
): Promise<{ status: number; body: Buffer }> {
  const stream = await network.dial({ host: 'server', port: 80, secure: false });
  stream.write(`GET ${path} HTTP/1.1\r\nHost: server\r\n\r\n`);
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  const answer = Buffer.concat(pieces);
  const end = answer.indexOf('\r\n\r\n');
  const status = Number(answer.toString('latin1', 9, 12));
  return { status, body: answer.subarray(end + 4) };
}

/** Records one second by the query of `/ws`, closes, and looks at everything that can be fetched. */
async function recorded(settings: { recordAsEchoKit?: boolean }) {
  const path = newFolder();
  const notices: RecordNotice[] = [];
  const samples = tone(440, 16_000);
  const result = await simulate(
    {
      settings,
      records: recordFolder(path, stamp),
      recordCallback: async (notice) => void notices.push(notice),
    },
    async ({ board, network, events, clock }) => {
      const device = await board(id, 'record=true');
      device.command('StartRecord');
      for (let at = 0; at < samples.length; at += 4000) {
        device.audio(samples.subarray(at, at + 4000));
      }
      await clock.sleep(1_000_000);
      device.socket.close();
      await clock.sleep(1_000_000);
      const { length } = device.received;
      const list = await get(network, `/downloads/list/${id}`);
      return {
        list: JSON.parse(String(list.body)),
        events: events.map((event) => event.type),
        messages: length,
      };
    },
  );
  const file = readFileSync(join(path, id, 'record_20261126_194121+0100.wav'));
  const heard = new Int16Array(
    file.buffer.slice(file.byteOffset + 44, file.byteOffset + file.length),
  );
  return { ...result, notices, file, heard: [...heard], samples: [...samples] };
}

test('what a board says is in the file, whose header tells its length', async (t) => {
  const { file, heard, samples, notices, list, events, messages } = await recorded({});
  t.is(messages, 0);
  t.deepEqual(heard, samples);
  // Origin: the canonical WAV header for 16 kHz, mono, 16 bits and 32000 bytes.
  t.is(
    file.subarray(0, 44).toString('hex'),
    '52494646247d000057415645666d74201000000001000100803e0000007d00000200100064617461007d0000',
  );
  const download = `/downloads/download/${id}/record_20261126_194121%2B0100.wav`;
  t.deepEqual(notices, [{ id, download_uri: download }]);
  t.deepEqual(list, [{ file_name: 'record_20261126_194121+0100.wav', download_url: download }]);
  t.deepEqual(events, ['recordStart', 'recordEnd']);
});

test('as the EchoKit server: an endless header, no callback after a close, a wrong path', async (t) => {
  const { file, heard, samples, notices, list } = await recorded({ recordAsEchoKit: true });
  t.deepEqual(heard, samples);
  t.is(file.readUInt32LE(4), 0x7fffffff);
  t.is(file.readUInt32LE(40), 0xffffffff);
  t.deepEqual(notices, []);
  t.is(list[0].download_url, `/record/download/${id}/record_20261126_194121%2B0100.wav`);
});

test('a minute without a frame ends a recording, and the callback follows', async (t) => {
  for (const recordAsEchoKit of [false, true]) {
    const notices: RecordNotice[] = [];
    const options = {
      settings: { recordAsEchoKit },
      records: recordFolder(newFolder(), stamp),
      recordCallback: async (notice: RecordNotice) => void notices.push(notice),
    };
    await simulate(options, async ({ network, board, clock, events }) => {
      const device = await board(id, 'record=true');
      device.audio(tone(440, 1600));
      await clock.sleep(59_000_000);
      device.audio(tone(440, 1600));
      await clock.sleep(59_000_000);
      t.is(device.closeCode, undefined);
      await clock.sleep(2_000_000);
      t.is(device.closeCode, 1000);
      t.like(ofType(events, 'recordEnd')[0], {
        atUs: 119_000_000,
        samples: 3200,
        by: 'idle',
        callback: 'made',
      });
      const wrong = await get(network, notices[0]!.download_uri);
      // Quirk Q32: the path that the EchoKit server publishes is not there.
      t.is(wrong.status, recordAsEchoKit ? 404 : 200);
    });
  }
});

test('a callback that fails is reported, and the file is there', async (t) => {
  const options = {
    records: recordFolder(newFolder(), stamp),
    recordCallback: async () => {
      throw new Error('refused');
    },
  };
  await simulate(options, async ({ board, clock, events }) => {
    const device = await board(id, 'record=true');
    device.socket.close();
    await clock.sleep(1_000_000);
    t.like(ofType(events, 'recordEnd')[0], {
      samples: 0,
      callback: 'failed',
      message: 'refused',
    });
  });
});

test('nothing outside of the folder is listed or given', async (t) => {
  const path = newFolder();
  const store = recordFolder(path, stamp);
  store.begin(id).close(true);
  writeFileSync(join(path, 'secret.wav'), 'secret');
  await simulate({ records: store }, async ({ network }) => {
    const file = 'record_20261126_194121+0100.wav';
    t.is((await get(network, `/downloads/download/${id}/${file}`)).status, 200);
    const refused = [
      `/downloads/download/${id}/..%2Fsecret.wav`,
      `/downloads/download/${id}/../secret.wav`,
      '/downloads/download/../secret.wav',
      '/downloads/download/%2e%2e/secret.wav',
      '/downloads/download/%2F/secret.wav',
      `/downloads/download/${id}/other.wav`,
      `/downloads/download/${id}/%ff`,
      '/downloads/download/nobody/x.wav',
    ];
    for (const each of refused) t.is((await get(network, each)).status, 404, each);
    // Section 1.1.
    t.like(await get(network, '/downloads/list/nobody'), { status: 500, body: Buffer.from('[]') });
    t.is((await get(network, '/downloads/list/%2e%2e')).status, 500);
  });
});

test('an id that cannot name a folder is not recorded', async (t) => {
  const path = newFolder();
  await simulate({ records: recordFolder(path, stamp) }, async ({ board }) => {
    for (const bad of ['..%2F..%2Fetc', '.hidden', 'a%2Fb', 'a%00b']) {
      const error = await t.throwsAsync(board(bad, 'record=true'));
      t.regex(error!.message, /400/, bad);
    }
    t.throws(() => readdirSync(path));
  });
});

test('two recordings of one second are two files, and closing the server completes them', async (t) => {
  const path = newFolder();
  await simulate(
    { records: recordFolder(path, stamp) },
    async ({ board, server, events, clock }) => {
      const [first, second] = [await board(id, 'record=true'), await board(id, 'record=true')];
      first.audio(tone(440, 160));
      second.audio(tone(440, 320));
      await clock.sleep(1000);
      await server.close();
      t.deepEqual(
        ofType(events, 'recordEnd').map(({ file, samples, by }) => [file, samples, by]),
        [
          ['record_20261126_194121+0100.wav', 160, 'server'],
          ['record_20261126_194121+0100-2.wav', 320, 'server'],
        ],
      );
    },
  );
});
