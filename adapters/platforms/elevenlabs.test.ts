import test from 'ava';
import { elevenLabsWire } from '../scripted-wire.contract.ts';
import { speechAdapterContract } from '../speech-adapter.contract.ts';
import { elevenLabsAdapter } from './elevenlabs.ts';

const secret = 'sk_very_secret';

speechAdapterContract(test, {
  adapter: elevenLabsAdapter,
  config: {
    url: 'wss://api.elevenlabs.io/v1/text-to-speech/',
    token: secret,
    voice: 'pNInz6obpgDQGcFmaJgB',
    modelId: 'eleven_flash_v2_5',
  },
  rateHz: 16_000,
  secret,
  wire: (clock, script) => elevenLabsWire(clock, script, secret),
});
