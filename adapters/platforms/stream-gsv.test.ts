import test from 'ava';
import { httpWire } from '../scripted-wire.contract.ts';
import { speechAdapterContract } from '../speech-adapter.contract.ts';
import { streamGsvAdapter } from './stream-gsv.ts';

speechAdapterContract(test, {
  adapter: streamGsvAdapter,
  config: { url: 'http://localhost:9094/v1/audio/stream_speech', speaker: 'texan' },
  rateHz: 16_000,
  wire: (clock, script) =>
    httpWire(clock, script, {
      textKey: 'input',
      // What the real server claims, whatever the samples are.
      contentType: 'audio/pcm;rate=32000',
      refusal: { status: 500, body: 'TTS service is not available' },
    }),
});
