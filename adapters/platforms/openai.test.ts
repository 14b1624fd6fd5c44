import test from 'ava';
import { httpWire } from '../scripted-wire.contract.ts';
import { type ContractSubject, speechAdapterContract } from '../speech-adapter.contract.ts';
import { type OpenAiConfig, openAiAdapter } from './openai.ts';

const secret = 'sk_very_secret';
const buffered: ContractSubject<OpenAiConfig> = {
  adapter: openAiAdapter,
  config: {
    url: 'https://api.openai.com/v1/audio/speech',
    apiKey: secret,
    model: 'gpt-4o-mini-tts',
    voice: 'ash',
  },
  rateHz: 24_000,
  secret,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      contentType: 'audio/wav',
      wavRateHz: 24_000,
      refusal: {
        status: 401,
        body: `{"error":{"message":"Incorrect API key provided: ${secret}.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
      },
    }),
};
speechAdapterContract(test, buffered);
