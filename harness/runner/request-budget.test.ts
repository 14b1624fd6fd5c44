import test from 'ava';
import {
  type SpeechCapabilities,
  SpeechError,
  type SpeechEvent,
  type SpeechSession,
} from '../../adapters/index.ts';
import { planRun } from '../scenario/plan.ts';
import { planNeeds } from './plan-needs.ts';
import { builtInProviders } from './provider-catalog.ts';
import {
  ConversationRunner,
  providerNames,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';
import { RequestBudget, requestsFor, withinBudget } from './request-budget.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const whole: SpeechCapabilities = {
  textIn: 'whole',
  audioOut: 'chunks',
  connectionReuse: true,
  marks: false,
};
const pieces: SpeechCapabilities = { ...whole, textIn: 'pieces' };

/** Says what reached it; every piece of text becomes 100 samples. */
class ScriptedSession implements SpeechSession {
  readonly sent: string[] = [];
  closed = false;
  readonly capabilities: SpeechCapabilities;
  readonly #requestsPerCall: number;

  constructor(capabilities: SpeechCapabilities, requestsPerCall = 1) {
    this.capabilities = capabilities;
    this.#requestsPerCall = requestsPerCall;
  }

  async *speak(text: AsyncIterable<string>, signal: AbortSignal): AsyncGenerator<SpeechEvent> {
    let request = 0;
    for await (const piece of text) {
      signal.throwIfAborted();
      this.sent.push(piece);
      for (; request < this.#requestsPerCall; request++) yield requestEvent(piece);
      yield {
        type: 'audio',
        atUs: 0,
        request: 1,
        samples: new Int16Array(100),
        sourceBytes: 200,
        sourceRateHz: 16_000,
        sourceChannels: 1,
      };
    }
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

function requestEvent(text: string): SpeechEvent {
  return {
    type: 'request',
    atUs: 0,
    request: 1,
    decidedUs: 0,
    connectedUs: 0,
    reused: false,
    url: 'https://api.example.com/',
    characters: [...text].length,
  };
}

async function speak(session: SpeechSession, ...text: string[]): Promise<SpeechEvent[]> {
  async function* source(): AsyncGenerator<string> {
    yield* text;
  }
  const events: SpeechEvent[] = [];
  for await (const event of session.speak(source(), new AbortController().signal)) {
    events.push(event);
  }
  return events;
}

test('a whole text is a request for each part, pieces are one request, rewriting is one more', (t) => {
  const long = 'One sentence of some length. Another sentence of some length.';
  t.deepEqual(requestsFor(whole, [long]), { requests: 1, characters: 61 });
  t.deepEqual(requestsFor({ ...whole, charactersMax: 40 }, [long]), {
    requests: 2,
    characters: 28 + 32,
  });
  t.deepEqual(requestsFor(pieces, ['One. ', 'Two. ']), { requests: 1, characters: 10 });
  const rewritten = { ...whole, requestsBefore: 1 };
  t.deepEqual(requestsFor(rewritten, ['你好🌙']), { requests: 2, characters: 3 });
  t.is(requestsFor({ ...rewritten, charactersMax: 40 }, [long]).requests, 3);
});

test('what fits is sent, what does not is refused before the session sees it', async (t) => {
  const session = new ScriptedSession(whole);
  const budget = new RequestBudget({ requests: 2, characters: 12 });
  const limited = withinBudget(session, budget);
  await speak(limited, 'Hello.');
  const error = await t.throwsAsync<SpeechError>(speak(limited, 'Goodbye.'));
  t.is(error.kind, 'budget');
  t.is(error.code, 'TTS_BUDGET');
  t.false(error.retryable);
  t.regex(
    error.message,
    /1 request and 8 characters would pass the limit of 2 requests and 12 characters, of which 1 request and 6 characters are used/,
  );
  t.deepEqual(session.sent, ['Hello.']);
  t.deepEqual(budget.used, { requests: 1, characters: 6 });
  t.is(budget.refused.reason, error);
  // A shorter one still fits.
  await speak(limited, 'Bye.');
  await t.throwsAsync(speak(limited, 'x'), { code: 'TTS_BUDGET' });
  t.deepEqual(session.sent, ['Hello.', 'Bye.']);
  await limited.close();
  t.true(session.closed);
});

test('a connection that is refused costs nothing, one that breaks behind the request does', async (t) => {
  const failing = (afterRequest: boolean, capabilities: SpeechCapabilities): SpeechSession => ({
    capabilities,
    async *speak(text) {
      for await (const piece of text) {
        if (afterRequest) yield requestEvent(piece);
        throw new SpeechError({
          kind: 'network',
          message: 'No connection.',
          retryable: true,
          deliveredSamples: 0,
        });
      }
    },
    close: async () => {},
  });
  for (const capabilities of [whole, pieces]) {
    const budget = new RequestBudget({ requests: 5, characters: 100 });
    await t.throwsAsync(speak(withinBudget(failing(false, capabilities), budget), 'Hello.'));
    t.deepEqual(budget.used, { requests: 0, characters: 0 });
    await t.throwsAsync(speak(withinBudget(failing(true, capabilities), budget), 'Hello.'));
    t.deepEqual(budget.used, { requests: 1, characters: 6 });
  }
});

test('an answer in pieces is stopped at the piece that does not fit, what was heard is counted', async (t) => {
  const session = new ScriptedSession(pieces);
  const budget = new RequestBudget({ requests: 1, characters: 10 });
  const limited = withinBudget(session, budget);
  const error = await t.throwsAsync<SpeechError>(speak(limited, 'One. ', 'Two. ', 'Three. '));
  t.is(error.kind, 'budget');
  t.is(error.deliveredSamples, 200);
  t.deepEqual(session.sent, ['One. ', 'Two. ']);
  t.deepEqual(budget.used, { requests: 1, characters: 10 });
});

test('sessions share a budget, and calls at the same time cannot pass it together', async (t) => {
  const budget = new RequestBudget({ requests: 3, characters: 1000 });
  const sessions = [new ScriptedSession(whole), new ScriptedSession(whole)];
  const calls = sessions.flatMap((session) => {
    const limited = withinBudget(session, budget);
    return [speak(limited, 'a'), speak(limited, 'b'), speak(limited, 'c')];
  });
  const outcomes = await Promise.allSettled(calls);
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 3);
  t.is(sessions.flatMap(({ sent }) => sent).length, 3);
});

test('requests beyond what was foreseen are counted when they happen', async (t) => {
  const budget = new RequestBudget({ requests: 5, characters: 100 });
  await speak(withinBudget(new ScriptedSession(whole, 3), budget), 'Hello.');
  t.deepEqual(budget.used, { requests: 3, characters: 18 });
});

const twoTurns = scenarioOf(
  'two-turns',
  `
[[turn]]
say = "How far is it?"
reply = "It is not far. You can walk there in half an hour. The bus takes ten minutes."

[[turn]]
say = "Thank you."
reply = "You are welcome."
`,
);

function sent({ recorded }: RecordedConversation): { requests: number; characters: number } {
  const events = recorded.events.filter((e) => e.source === 'provider' && e.type === 'request');
  const texts = recorded.events.flatMap((e) => (e.type === 'sentence' ? [e.text] : []));
  return { requests: events.length, characters: texts.join('').length };
}

test.serial('the estimate of a plan is what its run takes, with every provider', async (t) => {
  const plan = planRun([twoTurns], {
    providers: providerNames,
    seed: 1,
    time: 'virtual',
    catalog: { providers: providerNames, devices: ['diy'], networks: ['good-wifi'] },
  });
  const entries = new Map(builtInProviders.map((entry) => [entry.name, entry]));
  const needs = planNeeds(plan, entries);
  t.deepEqual([...needs.keys()], [...providerNames]);
  for (const name of providerNames) {
    const budget = new RequestBudget({ requests: 100, characters: 10_000 });
    const [cell] = await runner.run(twoTurns, { providers: [name], budget });
    t.is(cell!.verdict.outcome, 'pass', name);
    t.deepEqual(needs.get(name), budget.used, name);
    t.is(needs.get(name)!.requests, sent(cell!).requests, name);
    // In pieces, a space stands behind each of them.
    t.true(needs.get(name)!.characters >= sent(cell!).characters, name);
    t.true(needs.get(name)!.characters <= sent(cell!).characters + 4, name);
  }
});

for (const [name, requests] of [
  ['openai-stream', 1],
  ['elevenlabs', 1],
] as const) {
  test.serial(
    `${name}: with the budget used up the cell cannot be judged, its recording is whole, later cells are not run`,
    async (t) => {
      const budget = new RequestBudget({ requests, characters: 10_000 });
      const networks = ['good-wifi', 'ideal'];
      const cells = await runner.run(twoTurns, { providers: [name], networks, budget });
      t.is(cells.length, 1);
      const { verdict, recorded, measurement } = cells[0]!;
      t.is(verdict.outcome, 'infra');
      t.true(verdict.failures.every((failure) => failure.class === 'infra'));
      t.regex(verdict.failures.map(({ message }) => message).join('\n'), /budget is used up/);
      t.false(recorded.partial);
      t.is(measurement.end?.outcome, 'interrupted');
      t.is(sent(cells[0]!).requests, 1);
      t.deepEqual(budget.used.requests, 1);
      t.true(recorded.provider.get(1) === undefined || recorded.provider.get(1)!.length > 0);
    },
  );
}
