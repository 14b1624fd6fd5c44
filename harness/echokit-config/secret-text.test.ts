import test from 'ava';
import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { SourceMap } from '../toml/source-position.ts';
import { hideSecrets, secretValues } from './secret-text.ts';

const hidden = (text: string): string => hideSecrets(new SourceMap(text));

test('values of keys that look secret are hidden wherever they stand', (t) => {
  const text = `# api_key = "sk-hidden1"
[tts]
api_key = "sk-hidden2" # one
token = 'sk-hidden3'
voice = "ash"
extra = { access_token = "sk-hidden4", role = "user" }
"my secret" = """
sk-hidden5
sk-hidden6"""
keys = ["sk-hidden7", "sk-hidden8"]
url = "https://user:sk-hidden9@h/?api_key=sk-hidden10&x=1"
`;
  const shown = hidden(text);
  t.is(shown.length, text.length);
  t.false(shown.includes('hidden'), shown);
  for (const rest of ['voice = "ash"', 'role = "user"', '# one', '@h/?api_key=', '&x=1']) {
    t.true(shown.includes(rest), rest);
  }
});

test('the name of a variable stays readable', (t) => {
  const text = `api_key = "\${OPENAI_API_KEY}"\ntoken='\${TOKEN}'\n`;
  t.is(hidden(text), text);
  t.deepEqual(secretValues(parse(text)), []);
  t.false(hidden(`api_key = "\${A}sk-hidden"`).includes('hidden'));
});

test('text that is not TOML hides them, too', (t) => {
  for (const text of [
    'api_key = "sk-hidden',
    'api_key = sk-hidden\n',
    '[tts\napi_key = "sk-hidden"\n',
    'x = [\napi_key = "sk-hidden"\n',
    'api_key = """sk-hidden\n',
  ]) {
    t.false(hidden(text).includes('hidden'), text);
  }
});

test('whatever a document holds, its secrets are hidden and nothing moves', (t) => {
  const secret = fc.string({
    minLength: 8,
    maxLength: 20,
    unit: fc.constantFrom(...'abc"\'\\ =#\n[]{}'),
  });
  const key = fc.constantFrom('api_key', 'TOKEN', 'my.password', 'authorization', 'voice', 'a b');
  const value = fc.oneof(
    secret.map((text) => `SECRET${text}`),
    fc.array(
      secret.map((text) => `SECRET${text}`),
      { minLength: 1, maxLength: 2 },
    ),
  );
  const table = fc.dictionary(key, value, { maxKeys: 4 });
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('tts', 'llm', 'x y'), table), (document) => {
      const text = stringify(document);
      const shown = hidden(text);
      if (shown.length !== text.length) throw new Error('the length changed');
      const lines = shown.split('\n').filter((line) => line.includes('SECRET'));
      const open = lines.filter((line) => !/^(voice|"a b") = /.test(line));
      if (open.length > 0) throw new Error(open.join('\n'));
      const known = secretValues(document);
      for (const each of Object.values(document)) {
        if ('api_key' in each && !known.includes([each['api_key']].flat()[0]!))
          throw new Error(text);
      }
    }),
    { numRuns: 300, seed: 4 },
  );
  t.pass();
});
