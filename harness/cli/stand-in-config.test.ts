import test from 'ava';
import { parse } from 'smol-toml';
import { checkEchoKitConfig } from './stand-in-config.contract.ts';
import { renderStandInConfig } from './stand-in-config.ts';

const openai = {
  platform: 'openai',
  url: 'http://h:3/v1/audio/speech',
  model: 'gpt-4o-mini-tts',
  api_key: 'k',
  voice: 'ash',
};
const gsv = { platform: 'gsv', url: 'http://h:4/v1/audio/speech', speaker: 'texan' };
const dialogue = {
  chat: 'http://h:1',
  transcription: 'http://h:2',
  'text-optimization': 'http://h:5',
} as const;

test('the whole text is one configuration that EchoKit takes, with nothing wrong in it', (t) => {
  const text = renderStandInConfig({
    dialogue,
    speech: [
      ['openai', openai],
      ['gsv', gsv],
    ],
  });
  const { problems, backend } = checkEchoKitConfig(text);
  t.deepEqual(problems, []);
  t.is(backend, 'EchoKit takes [llm], [tts] and [asr]');
  const config = parse(text) as Record<string, Record<string, unknown>>;
  t.is(config['asr']!['url'], 'http://h:2/v1/audio/transcriptions');
  t.is(config['llm']!['url'], 'http://h:1/v1/chat/completions');
  t.is(config['llm']!['history'], 10);
  t.deepEqual(config['tts'], openai);
  t.deepEqual(config['providers']!['gsv'], gsv);
});

test('a further platform becomes the one of EchoKit by its name alone', (t) => {
  const text = renderStandInConfig({
    dialogue,
    speech: [
      ['openai', openai],
      ['gsv', gsv],
    ],
  });
  const renamed = text.replace('[tts]', '[providers.openai]').replace('[providers.gsv]', '[tts]');
  t.deepEqual(checkEchoKitConfig(renamed).problems, []);
  t.deepEqual(parse(renamed)['tts'], gsv);
});

test('the section for text optimization is valid where the comment is taken away', (t) => {
  const text = renderStandInConfig({ dialogue, speech: [['gsv', gsv]] });
  const uncommented = text.replace(
    /^# (?=\[tts\.text_optimization\]|url = |api_key = |model = )/gm,
    '',
  );
  t.deepEqual(checkEchoKitConfig(uncommented).problems, []);
  t.deepEqual((parse(uncommented)['tts'] as Record<string, unknown>)['text_optimization'], {
    url: 'http://h:5/v1/chat/completions',
    api_key: 'sk_stand_in',
    model: 'gpt-4o-mini',
  });
});

test('what does not run is not in the configuration, which says that it is a part', (t) => {
  const text = renderStandInConfig({ dialogue: {}, speech: [['gsv', gsv]] });
  t.deepEqual(Object.keys(parse(text)), ['addr', 'tts']);
  t.regex(text, /^# A part of a config\.toml/);
});
