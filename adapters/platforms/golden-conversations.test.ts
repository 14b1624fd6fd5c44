import { decode, encode } from '@msgpack/msgpack';
import test from 'ava';
import type { WebSocket } from 'ws';
import { bytesOf, pcmBytes, wavBytes } from '../audio/wav-fixture.contract.ts';
import {
  difference,
  exampleOf,
  type GoldenConversation,
  type GoldenLine,
  goldenConversations,
  gsvExchanges,
} from '../golden-conversations.contract.ts';
import { adapterFor } from '../platforms.ts';
import { httpAnswers, webSocketAnswers } from '../scripted-wire.contract.ts';
import {
  audioOf,
  type ContractSubject,
  collect,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
} from '../speech-adapter.contract.ts';
import type { AdapterClock, SpeechEvent } from '../speech-adapter.ts';
import { readTtsConfig } from '../tts-config.ts';

interface Config {
  readonly url: string;
}

function subjectOf(
  tts: Readonly<Record<string, string>>,
  wire: ContractSubject<Config>['wire'],
): ContractSubject<Config> {
  const read = readTtsConfig({ ...tts });
  return { adapter: adapterFor(read), config: read.config as Config, rateHz: 16_000, wire };
}

for (const golden of goldenConversations) {
  const { tts } = golden;
  if (tts === undefined) continue;
  test(`golden conversation of ${golden.title}, with our adapter as the client`, async (t) => {
    const link = { latencyUs: 0, jitterUs: 0, connectUs: golden.acceptedMs * 1_000 };
    const ids = new TaskIds();
    const stage = await makeStage(
      subjectOf(tts, (clock) => theService(golden, clock, ids)),
      {},
      link,
    );
    const events: SpeechEvent[] = [];
    for (const { pieces, completeMs } of golden.answers) {
      const text = known(pieces, completeMs, stage.clock);
      await stage.clock.run(stage.clock.sleep(pieces[0]![0] * 1_000 - stage.clock.nowUs()));
      events.push(...(await stage.clock.run(collect(stage.session.speak(text, never())))));
    }
    const { path, headers } = stage.wire.log.requests[0]!;
    t.true(path.startsWith(golden.path), path);
    t.like(headers, golden.headers);
    t.is(stage.wire.log.connections, 1);

    const sent = stage.observed.filter(({ direction }) => direction === 'sent');
    const kind = golden.encoding === 'json' ? 'ws-text' : 'ws-binary';
    t.true(sent.every((message) => message.kind === kind));
    t.deepEqual(
      sent.map(({ atUs, data }) => [atUs / 1_000, ids.golden(parsed(Buffer.from(data), golden))]),
      golden.lines.flatMap((line) => adapterSays(line).map((message) => [line.ms, message])),
    );

    const spoken = golden.lines.filter(({ samples }) => samples !== undefined);
    t.deepEqual(
      audioOf(events).map(({ atUs, samples }) => [atUs / 1_000, [...samples]]),
      spoken.map(({ ms, samples }) => [ms, [...samples!]]),
    );
    t.deepEqual(
      events.flatMap(({ type, atUs }) => (type === 'end' ? [atUs / 1_000] : [])),
      golden.lines.flatMap(({ ms, final }) => (final ? [ms] : [])),
    );
    await stage.finish();
  });
}

/** Text that becomes known as the conversation says. */
async function* known(
  pieces: readonly (readonly [ms: number, text: string])[],
  completeMs: number,
  clock: AdapterClock,
): AsyncGenerator<string> {
  for (const [ms, text] of pieces) {
    await clock.sleep(Math.max(0, ms * 1_000 - clock.nowUs()));
    yield text;
  }
  await clock.sleep(completeMs * 1_000 - clock.nowUs());
}

function adapterSays({ client, adapter }: GoldenLine): readonly unknown[] {
  return adapter ?? (client === undefined ? [] : [client]);
}

function parsed(data: Buffer, { encoding }: GoldenConversation): unknown {
  return encoding === 'json' ? JSON.parse(data.toString()) : decode(data);
}

/** The service: what it says behind a message of the client comes as much later as in the conversation. */
function theService(golden: GoldenConversation, clock: AdapterClock, ids: TaskIds) {
  const turns: { readonly ms: number; readonly answers: GoldenLine[] }[] = [];
  for (const line of golden.lines) {
    for (const _ of adapterSays(line)) turns.push({ ms: line.ms, answers: [] });
    if (line.client === undefined) turns.at(-1)!.answers.push(line);
  }
  let received = 0;
  const say = (socket: WebSocket, { service, close }: GoldenLine): void => {
    if (close !== undefined) {
      socket.close(close);
      return;
    }
    const message = exampleOf(service);
    if (message instanceof Uint8Array) socket.send(message, { binary: true });
    else if (golden.encoding === 'msgpack') socket.send(encode(message));
    else socket.send(JSON.stringify(ids.actual(message)));
  };
  return webSocketAnswers(
    (message, socket) => {
      ids.learn(message);
      const turn = turns[received++];
      for (const line of turn?.answers ?? []) {
        if (line.ms === turn!.ms) say(socket, line);
        else clock.after((line.ms - turn!.ms) * 1_000, () => say(socket, line));
      }
    },
    (data) => JSON.stringify(parsed(data, golden)),
  );
}

/** A client chooses the ids of its tasks; in the conversations they are A and B. */
class TaskIds {
  readonly #names = new Map<string, string>();

  learn(message: unknown): void {
    const id = taskIdOf(message);
    if (id === undefined || this.#names.has(id)) return;
    this.#names.set(id, String.fromCharCode('A'.charCodeAt(0) + this.#names.size));
  }

  golden(message: unknown): unknown {
    return withTaskId(message, this.#names.get(taskIdOf(message) ?? ''));
  }

  actual(message: unknown): unknown {
    const [id] = [...this.#names].find(([, name]) => name === taskIdOf(message)) ?? [];
    return withTaskId(message, id);
  }
}

function taskIdOf(message: unknown): string | undefined {
  return (message as { header?: { task_id?: string } }).header?.task_id;
}

function withTaskId(message: unknown, task_id: string | undefined): unknown {
  if (task_id === undefined) return message;
  const { header } = message as { header: object };
  return { ...(message as object), header: { ...header, task_id } };
}

for (const golden of gsvExchanges) {
  const { adapter } = golden;
  if (adapter === undefined) continue;
  test(`golden exchange of section 8.1, gsv_tts, with our adapter as the client: ${golden.title}`, async (t) => {
    const samples = [100, -200, 300];
    const raw = golden.path.endsWith('/stream_speech');
    const sound = raw ? pcmBytes(samples) : wavBytes(pcmBytes(samples), { rateHz: 16_000 });
    const body = golden.body === 'audio' ? sound : bytesOf(Buffer.from(golden.body));
    const wire = () =>
      httpAnswers((response) => {
        response.writeHead(golden.status, golden.headers);
        response.end(body);
      });
    const url = `http://127.0.0.1:8000${golden.path}`;
    const speaker = String(golden.request['speaker']);
    const stage = await makeStage(
      subjectOf({ platform: adapter.platform, url, speaker }, wire),
      {},
    );
    const text = String(golden.request['input']);
    if (adapter.outcome === 'audio') {
      const events = await stage.clock.run(collect(stage.session.speak(said(text), never())));
      t.deepEqual(samplesOf(events), samples);
    } else {
      t.is((await outcomeOf(stage, [text])).error.kind, adapter.outcome);
    }
    t.is(stage.wire.log.requests[0]!.path, golden.path);
    t.is(stage.wire.log.requests[0]!.headers['content-type'], 'application/json');
    t.deepEqual(
      stage.wire.log.received.map((request) => JSON.parse(request)),
      [golden.request],
    );
    await stage.finish();
  });
}

test('what a service may say differently is told from what it may not', (t) => {
  const line = goldenConversations[0]!.lines.find(({ samples }) => samples !== undefined)!;
  const fitting = exampleOf(line.service) as Record<string, unknown>;
  t.is(difference(fitting, line.service), undefined);
  for (const changes of [
    { audio: 'AQ==' },
    { audio: '' },
    { isFinal: false },
    { alignment: null },
    { alignment: { ...(fitting['alignment'] as object), charStartTimesMs: [1] } },
    { more: 1 },
  ]) {
    t.is(typeof difference({ ...fitting, ...changes }, line.service), 'string');
  }
  const { isFinal: _, ...less } = fitting;
  t.regex(difference(less, line.service) ?? '', /isFinal/);
});
