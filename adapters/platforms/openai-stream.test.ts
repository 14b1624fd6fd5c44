import test from 'ava';
import { httpWire } from '../scripted-wire.contract.ts';
import { speechAdapterContract } from '../speech-adapter.contract.ts';
import { openAiAdapter } from './openai.ts';

const secret = 'sk_very_secret';

speechAdapterContract(test, {
  adapter: openAiAdapter,
  config: {
    url: 'http://127.0.0.1:8880/v1/audio/speech',
    apiKey: secret,
    model: 'tts-1',
    voice: 'alloy',
    stream: 'pcm',
  },
  rateHz: 24_000,
  secret,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      contentType: 'audio/pcm',
      refusal: {
        status: 401,
        body: `{"error":{"message":"Incorrect API key provided: ${secret}.","code":"invalid_api_key"}}`,
      },
    }),
});
