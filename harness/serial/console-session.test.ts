import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { networkLines, onConsole, romLines } from './board-boot.contract.ts';
import type { BoardError } from './board-error.ts';
import { ConsoleSession, type SessionEvent } from './console-session.ts';
import { ScriptedPort } from './scripted-port.contract.ts';
import type { StoryEvent } from './story-event.ts';

/** A session with a board that the test unplugs and plugs in. */
function bench(options: { readonly expectedMac?: string } = {}) {
  const clock = new SimulatedClock();
  const told: SessionEvent[] = [];
  const story: StoryEvent[] = [];
  const lines: string[] = [];
  const ports: ScriptedPort[] = [];
  const stop = new AbortController();
  const place: { now: string | null; refuse: Error | undefined } = {
    now: '/dev/ttyACM0',
    refuse: undefined,
  };
  const session = new ConsoleSession({
    clock,
    address: '/dev/ttyACM0',
    baud: null,
    ...options,
    open: async (address) => {
      if (place.refuse !== undefined) throw place.refuse;
      const port = new ScriptedPort(address, clock);
      ports.push(port);
      return port;
    },
    locate: () => place.now,
    onLine: ({ text }) => lines.push(text),
    onStory: (event) => story.push(event),
    onSession: (event) => told.push(event),
  });
  return { clock, told, story, lines, ports, stop, place, session };
}

test('R05: a port that vanishes is waited for and taken again under its new name, well within 500 ms', async (t) => {
  const { clock, session, ports, place, told, lines, stop } = bench();
  await clock.run(
    (async () => {
      const run = session.run(stop.signal);
      await clock.sleep(1_000_000);
      ports[0]!.print(Buffer.from('I (9000) echokit::app: Rece'));
      place.now = null;
      ports[0]!.vanish();
      await clock.sleep(1_530_000);
      place.now = '/dev/ttyACM1';
      const returnedUs = clock.nowUs();
      await clock.sleep(500_000);
      const again = told.find(({ type }) => type === 'returned')!;
      t.true(again.atUs - returnedUs <= 100_000, `${again.atUs - returnedUs}`);
      t.like(again, { address: '/dev/ttyACM1' });
      ports[1]!.print(onConsole(['I (5) echokit::app: Received idle event']));
      // What the old port would still say is nobody's.
      ports[0]!.print(onConsole(['I (6) echokit::app: Received idle event']));
      stop.abort();
      await run;
      await session.close();
    })(),
  );
  t.deepEqual(
    told.map(({ type }) => type),
    ['opened', 'gone', 'returned'],
  );
  t.deepEqual(lines, ['I (9000) echokit::app: Rece', 'I (5) echokit::app: Received idle event']);
  t.is(session.reader.counts.gaps, 1);
  t.deepEqual(
    ports.map(({ closed }) => closed),
    [true, true],
  );
});

test('a port that is there again and refused is tried until it opens; the problem is told once', async (t) => {
  const { clock, session, ports, place, told, stop } = bench();
  await clock.run(
    (async () => {
      const run = session.run(stop.signal);
      await clock.sleep(1_000);
      place.refuse = new Error('permission denied');
      ports[0]!.vanish();
      await clock.sleep(950_000);
      place.refuse = undefined;
      await clock.sleep(200_000);
      stop.abort();
      await run;
      await session.close();
    })(),
  );
  t.deepEqual(
    told.map(({ type }) => type),
    ['opened', 'gone', 'closed-to-us', 'returned'],
  );
});

test('a port that cannot be opened at the beginning is an error', async (t) => {
  const { clock, session, place, stop } = bench();
  place.refuse = new Error('no such file');
  await t.throwsAsync(clock.run(session.run(stop.signal)), { message: 'no such file' });
});

test('R07: another board than the expected one ends the session, the expected one does not', async (t) => {
  const wrong = bench({ expectedMac: '02ec0e000099' });
  const run = wrong.clock.run(
    (async () => {
      const reading = wrong.session.run(wrong.stop.signal);
      await wrong.clock.sleep(1_000);
      wrong.ports[0]!.print(onConsole(networkLines));
      await reading;
    })(),
  );
  const error = (await t.throwsAsync(run)) as BoardError;
  t.is(error.code, 'BOARD_MISMATCH');
  t.regex(error.message, /02ec0e000002, and 02ec0e000099/);
  await wrong.session.close();

  const right = bench({ expectedMac: '02ec0e000002' });
  await right.clock.run(
    (async () => {
      const reading = right.session.run(right.stop.signal);
      await right.clock.sleep(1_000);
      right.ports[0]!.print(onConsole(networkLines));
      await right.clock.sleep(1_000);
      right.stop.abort();
      await reading;
      await right.session.close();
    })(),
  );
  t.is(right.session.reader.identity.mac, '02ec0e000002');
});

test('a banner after the return is power or a reset, not the work of our opening', async (t) => {
  const { clock, session, ports, place, story, stop } = bench();
  await clock.run(
    (async () => {
      const run = session.run(stop.signal);
      await clock.sleep(10_000_000);
      place.now = null;
      ports[0]!.vanish();
      await clock.sleep(2_000_000);
      place.now = '/dev/ttyACM0';
      await clock.sleep(200_000);
      ports[1]!.print(onConsole(romLines('0x1 (POWERON)')));
      stop.abort();
      await run;
      await session.close();
    })(),
  );
  const reset = story.find((event) => event.type === 'reset');
  t.like(reset, { kind: 'power-or-pin', because: 'the port had gone and came back with it' });
});

test('a port that opens and is gone at once is tried ten times a second, not without end', async (t) => {
  const { clock, session, ports, stop } = bench();
  await clock.run(
    (async () => {
      const run = session.run(stop.signal);
      for (let i = 0; i < 100; i++) {
        await clock.sleep(10_000);
        if (!ports.at(-1)!.closed) ports.at(-1)!.vanish();
      }
      stop.abort();
      await run;
      await session.close();
    })(),
  );
  t.true(ports.length <= 11, `${ports.length}`);
});
