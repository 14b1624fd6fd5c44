import test from 'ava';
import fc from 'fast-check';
import { type ConfigContext, checkTable, chooseVariant, expandVariables } from './config-table.ts';
import type { ConfigKey } from './platform.ts';

const keys = {
  url: {
    kind: 'url',
    about: 'Address.',
    aliases: ['address'],
    default: 'https://api.example.com/v1',
    schemes: ['https', 'http'],
  },
  token: {
    kind: 'text',
    about: 'Key.',
    required: true,
    secret: true,
    environment: ['EXAMPLE_KEY', 'EXAMPLE_KEY_OLD'],
  },
  history: {
    kind: 'whole',
    about: 'Messages kept.',
    doubts: [{ when: /^0$/, says: 'keeps nothing' }],
  },
  threshold: { kind: 'number', about: 'Limit.' },
  extra: { kind: 'table', about: 'Anything.' },
  rewrite: {
    kind: 'table',
    about: 'Rewriting.',
    keys: {
      url: { kind: 'url', about: 'Address.', required: true, schemes: ['https'] },
      api_key: { kind: 'text', about: 'Key.', secret: true },
      prompts: {
        kind: 'tables',
        about: 'Prompts.',
        keys: {
          role: {
            kind: 'text',
            about: 'Role.',
            choices: ['system', 'user'],
            absent: 'is missing, which means "assistant"',
          },
          content: { kind: 'text', about: 'Text.', required: true },
        },
      },
    },
  },
} as const satisfies Record<string, ConfigKey>;

const check = (table: Record<string, unknown>, context: Partial<ConfigContext> = {}) =>
  checkTable(table, keys, { name: 'tts', owner: 'platform "x"', ...context });

const brief = (problems: readonly { code: string; keyPath: string }[]) =>
  problems.map(({ code, keyPath }) => `${keyPath} ${code}`);

test('nested tables and lists of them are checked and handed on', (t) => {
  const { table, errors, warnings, secrets } = check({
    token: 'sk',
    rewrite: {
      url: 'https://h/',
      api_key: 'sk-nested',
      prompts: [{ role: 'system', content: 'Be brief.' }, { content: 'Hello.' }],
    },
    extra: { anything: [1, { goes: true }] },
  });
  t.deepEqual(errors, []);
  t.deepEqual(brief(warnings), ['tts.rewrite.prompts[1].role CONFIG_DOUBTFUL_DEFAULT']);
  t.deepEqual(secrets, ['sk', 'sk-nested']);
  const [rewrite] = table.tables['rewrite']!;
  t.is(rewrite!.values['url'], 'https://h/');
  t.deepEqual(
    rewrite!.tables['prompts']!.map(({ values }) => values),
    [
      { role: 'system', content: 'Be brief.' },
      { role: undefined, content: 'Hello.' },
    ],
  );
  t.deepEqual(table.tables['extra'], []);
});

test('mistakes in nested tables carry their whole path', (t) => {
  const { errors, warnings } = check({
    token: 'sk',
    extra: 7,
    rewrite: {
      urll: 'https://h/',
      colour: 1,
      prompts: [{ role: 'sistem', content: 'a' }, 'text', { role: 'user' }],
    },
  });
  t.deepEqual(brief(errors), [
    'tts.extra CONFIG_WRONG_TYPE',
    'tts.rewrite.prompts[0].role CONFIG_BAD_VALUE',
    'tts.rewrite.prompts[1] CONFIG_WRONG_TYPE',
    'tts.rewrite.prompts[2].content CONFIG_MISSING_KEY',
    'tts.rewrite.url CONFIG_MISSING_KEY',
  ]);
  t.deepEqual(errors[1]!.path, ['rewrite', 'prompts', 0, 'role']);
  t.true(errors[1]!.message.endsWith('is "sistem": did you mean "system"?'));
  t.is(errors[4]!.hint, 'there is "urll": did you mean that?');
  t.deepEqual(brief(warnings), ['tts.rewrite.colour CONFIG_UNKNOWN_KEY']);
  t.is(
    warnings[0]!.message,
    'tts.rewrite.colour is no key of tts.rewrite and is ignored',
    'what the missing key names is not told twice',
  );
  t.deepEqual(brief(check({ token: 'k', rewrite: { url: 'https://h/', prompts: {} } }).errors), [
    'tts.rewrite.prompts CONFIG_WRONG_TYPE',
  ]);
});

test('another name of a key counts as the key, but not both', (t) => {
  const one = check({ token: 'k', address: 'http://h/' });
  t.is(one.table.values['url'], 'http://h/');
  t.deepEqual(one.errors, []);
  const both = check({ token: 'k', address: 'http://h/', url: 'http://h/' });
  t.deepEqual(brief(both.errors), ['tts.address CONFIG_BAD_VALUE']);
});

test('numbers are checked as they are written', (t) => {
  const values = (table: Record<string, unknown>) => check({ token: 'k', ...table }).table.values;
  t.is(values({ history: 0 })['history'], '0');
  t.is(values({ history: 12n })['history'], '12');
  t.is(values({ threshold: 0.25 })['threshold'], '0.25');
  for (const history of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.deepEqual(brief(check({ token: 'k', history }).errors), ['tts.history CONFIG_BAD_VALUE']);
  }
  const float = check({ token: 'k', history: 3 }, { written: () => '3.0' });
  t.deepEqual(brief(float.errors), ['tts.history CONFIG_BAD_VALUE']);
  t.true(float.errors[0]!.message.endsWith('is 3.0'));
  const hex = check({ token: 'k', history: 30 }, { written: () => '0x1E' });
  t.deepEqual(hex.errors, []);
  t.deepEqual(brief(check({ token: 'k', history: 0 }).warnings), [
    'tts.history CONFIG_DOUBTFUL_VALUE',
  ]);
  t.deepEqual(brief(check({ token: 'k', threshold: Number.NaN }).errors), [
    'tts.threshold CONFIG_BAD_VALUE',
  ]);
});

test('a variable in a value is expanded, and an unset one is named', (t) => {
  const environment = { HOST: 'h.example.com', MY_TOKEN: 'sk-env', EMPTY: '' };
  const { table, errors, warnings, secrets } = check(
    { token: `\${MY_TOKEN}`, url: `https://\${HOST}/v1` },
    { environment },
  );
  t.deepEqual(errors, []);
  t.is(table.values['token'], 'sk-env');
  t.is(table.values['url'], 'https://h.example.com/v1');
  t.deepEqual(secrets, ['sk-env']);
  t.deepEqual(brief(warnings), ['tts.url CONFIG_VARIABLE', 'tts.token CONFIG_VARIABLE']);

  const unset = check({ token: `\${EMPTY}-\${NOWHERE}` }, { environment });
  t.deepEqual(brief(unset.errors), [
    'tts.token CONFIG_VARIABLE_UNSET',
    'tts.token CONFIG_VARIABLE_UNSET',
  ]);
  t.true(unset.errors[0]!.message.includes('EMPTY is not set'));
  t.true(unset.errors[1]!.message.includes('NOWHERE is not set'));
  t.deepEqual(expandVariables(`\${A}\${B}$C`, { A: '1' }), {
    text: '1$C',
    names: ['A', 'B'],
    unset: ['B'],
  });
});

test('a message shows a value as it is written, never what a variable holds', (t) => {
  const environment = { API_KEY: 'sk-hidden', EXAMPLE_KEY: 'sk-\nhidden' };
  const results = [
    check({ token: 'k', url: `\${API_KEY}` }, { environment }),
    check({ url: `ftp://\${API_KEY}/` }, { environment }),
    check(
      {
        token: 'k',
        rewrite: { url: 'https://h/', prompts: [{ role: `\${API_KEY}`, content: 'c' }] },
      },
      { environment },
    ),
  ];
  for (const { errors, warnings, settings, secrets } of results) {
    t.true(errors.length > 0);
    t.false(JSON.stringify([errors, warnings, settings]).includes('hidden'));
    t.true(secrets.includes('sk-hidden'), 'a variable whose name says so is a secret anywhere');
  }
});

test('a key inside of a URL is not shown', (t) => {
  const environment = { API_KEY: 'sk-hidden' };
  for (const url of [
    `https://h/\${API_KEY}/v1`,
    'https://h/?api_key=sk-hidden',
    'https://sk-hidden@h/',
  ]) {
    const { errors, settings } = check({ token: 'k', url }, { environment });
    t.deepEqual(errors, []);
    t.is(settings[0]!.keyPath, 'tts.url');
    t.true(settings[0]!.shown!.startsWith('https://h/'));
    t.false(settings[0]!.shown!.includes('hidden'), settings[0]!.shown);
  }
  for (const url of ['h/?key=sk-hidden', 'sk-hidden@h/v1']) {
    const { errors } = check({ token: 'k', url });
    t.is(errors.length, 1);
    t.false(errors[0]!.message.includes('hidden'), errors[0]!.message);
  }
});

test('a key from the environment goes to its own service and to this machine only', (t) => {
  const environment = { EXAMPLE_KEY_OLD: 'sk-env' };
  for (const url of [
    undefined,
    'https://eu.example.com/v2',
    'http://localhost:9/',
    'http://[::1]/',
  ]) {
    const table = url === undefined ? {} : { url };
    t.is(check(table, { environment }).table.values['token'], 'sk-env', url);
  }
  for (const url of ['https://example.org/', 'https://example.com.evil.org/']) {
    const { table, errors } = check({ url }, { environment });
    t.is(table.values['token'], undefined);
    t.deepEqual(brief(errors), ['tts.token CONFIG_MISSING_KEY']);
    t.true(errors[0]!.hint!.includes(`token = "\${EXAMPLE_KEY_OLD}"`));
  }
});

test('a platform that cannot be chosen is answered with those that can', (t) => {
  const variants = [{ names: ['one', 'One'] }, { names: ['two'] }] as const;
  const choose = (table: Record<string, unknown>) =>
    chooseVariant(table, variants, { name: 'asr' });
  t.is(choose({ platform: 'One' }), variants[0]);
  t.like(choose({}), { code: 'CONFIG_MISSING_KEY', keyPath: 'asr.platform' });
  t.like(choose({ platform: 2 }), { code: 'CONFIG_WRONG_TYPE' });
  t.like(choose({ platform: 'tow' }), {
    code: 'CONFIG_UNKNOWN_PLATFORM',
    message: 'asr.platform is "tow", which EchoKit does not know: did you mean "two"?',
    hint: 'valid are: one, two',
    validNames: ['one', 'two'],
  });
});

test('whatever a table holds, the check answers, and secrets stay inside', (t) => {
  const name = fc.constantFrom(
    ...Object.keys(keys),
    'prompts',
    'role',
    'content',
    '__proto__',
    'constructor',
    'tokn',
  );
  const leaf = fc.oneof(
    fc.string(),
    fc.constantFrom(`\${A}`, `\${EXAMPLE_KEY}`, 'https://h/', 'Bearer x'),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.constant(new Uint8Array(1)),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(name, tie('value'), { maxKeys: 6 }),
    ),
  }));
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 8 }), (table) => {
      const secret = 'sk-5d41402abc4b2a76';
      const { errors, warnings, settings } = check(
        { ...table, token: secret },
        { environment: { A: 'a', EXAMPLE_KEY: 'sk-5d41402abc4b2a76-env' } },
      );
      const everything = JSON.stringify([errors, warnings, settings], (_, item) =>
        typeof item === 'bigint' ? String(item) : item,
      );
      if (everything.includes(secret)) throw new Error(everything);
    }),
    { numRuns: 1000, seed: 9 },
  );
  t.pass();
});

test('a secret that is missing everywhere is a warning where only a stand-in will see it', (t) => {
  const missingSecret = 'any';
  const checked = check({}, { missingSecret });
  t.is(checked.table.values['token'], 'any');
  t.deepEqual(brief(checked.errors), []);
  t.deepEqual(brief(checked.warnings), ['tts.token CONFIG_NO_SECRET']);

  const environment = { EXAMPLE_KEY: 'sk-real' };
  t.is(check({}, { missingSecret, environment }).table.values['token'], 'sk-real');
  t.deepEqual(brief(check({ tokn: 'sk' }, { missingSecret }).errors), [
    'tts.token CONFIG_MISSING_KEY',
  ]);
});

test('a misspelled platform key is named', (t) => {
  const found = chooseVariant({ platfrom: 'x' }, [{ names: ['x'] }], { name: 'tts' });
  t.true('code' in found && found.code === 'CONFIG_MISSING_KEY');
  t.is(
    'message' in found ? found.message : '',
    'tts.platform is missing: there is "platfrom"; did you mean that?',
  );
});
