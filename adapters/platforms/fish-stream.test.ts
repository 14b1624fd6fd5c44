import test from 'ava';
import { fishWire } from '../scripted-wire.contract.ts';
import { speechAdapterContract } from '../speech-adapter.contract.ts';
import { fishAdapter } from './fish.ts';

const secret = 'fish_very_secret';
const url = 'https://api.fish.audio/v1/tts';
speechAdapterContract(test, {
  adapter: fishAdapter,
  config: { url, apiKey: secret, speaker: 'v', model: 's1', stream: 'pcm' },
  rateHz: 16_000,
  secret,
  refusalCode: '401',
  wire: (clock, script) => fishWire(clock, script, secret),
});
