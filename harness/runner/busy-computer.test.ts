/** Pitfalls catalogue, S04: the computer that measures is too busy, and the provider gets the blame. */
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { buildRunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const scenario = scenarioOf('greeting', '[[turn]]\nsay = "Hello."\nreply = "Good morning."\n');

function shown(cell: RecordedConversation): string {
  const run = {
    id: 'r',
    seed: 1,
    time: 'real' as const,
    live: false,
    startedAt: '',
    durationMs: 1,
  };
  const report = checkReportFormat(
    buildRunReport({ cells: [cell], notRun: [], run, environment: {} }),
  );
  return renderTerminalReport(report, {
    color: false,
    width: 120,
    recordingsFolder: '.',
    nextSteps: [],
  });
}

/** Nothing else runs for so long; what that is for, the event loop cannot tell. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

test.serial(
  'a computer that is busy for 120 ms at a time is found, and the report says so',
  async (t) => {
    const clock = new SystemClock();
    let working = true;
    const work = (): void => {
      if (!working) return;
      block(120);
      clock.after(200_000, work);
    };
    work();
    const [cell] = await runner.run(scenario, { providers: ['openai-stream'], time: 'real' });
    working = false;
    const lag = cell!.measurement.metrics['host.lag_p99_ms'] as number;
    t.true(
      lag > 50 && lag <= (cell!.measurement.metrics['host.lag_max_ms'] as number),
      `${lag} ms`,
    );
    t.regex(shown(cell!), /This computer was busy in 1 of 1 cell: it was up to 1\d\d ms late/);
  },
);

test.serial('in virtual time nothing is late, and nothing is said', async (t) => {
  const [cell] = await runner.run(scenario, { providers: ['openai-stream'] });
  t.is(cell!.measurement.metrics['host.lag_p99_ms'], null);
  t.notRegex(shown(cell!), /This computer was busy/);
});
