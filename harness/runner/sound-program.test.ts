/** A script stands for the program: what it is given, and what is made of how it ends. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import type { Turn } from '../scenario/scenario.ts';
import { readWav } from '../trace/wav-file.ts';
import { findPlayer, SoundProgramError } from './sound-program.ts';
import { loudspeakerVoice } from './voice-path.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-player-'));
process.env['PATH'] = `${folder}${delimiter}${process.env['PATH']}`;
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function program(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

const never = new AbortController().signal;
const sound = Int16Array.from({ length: 800 }, (_, i) => i * 10);

test.serial(
  'the first program that is there gets a WAV file of the words, which is gone afterwards',
  async (t) => {
    program('paplay', `cp "$1" "${folder}/played.wav"; echo "$1" > "${folder}/name"`);
    const asked: string[] = [];
    const player = findPlayer((name) => {
      asked.push(name);
      return name === 'paplay';
    });
    await player!.play(sound, never);
    t.deepEqual(asked, ['ffplay', 'paplay']);
    t.deepEqual(readWav(join(folder, 'played.wav')), sound);
    t.throws(() => readFileSync(readFileSync(join(folder, 'name'), 'utf8').trim()));
  },
);

test.serial('a program that fails is told with its words', async (t) => {
  program('paplay', 'echo "no sound card" >&2; exit 3');
  const player = findPlayer((name) => name === 'paplay')!;
  const error = await t.throwsAsync(() => player.play(sound, never), {
    instanceOf: SoundProgramError,
  });
  t.regex(error!.message, /paplay could not play .*no sound card/);
});

test.serial('a program that is stopped takes no longer', async (t) => {
  program('paplay', 'exec sleep 60');
  const player = findPlayer((name) => name === 'paplay')!;
  const control = new AbortController();
  const playing = player.play(sound, control.signal);
  control.abort(new Error('stopped'));
  await t.throwsAsync(playing, { message: 'stopped' });
});

test('without any program there is no loudspeaker', (t) => {
  t.is(
    findPlayer(() => false),
    undefined,
  );
});

test('the words began as long before the end of the program as they last', async (t) => {
  const clock = new SystemClock();
  // Ends at once: it cannot have begun before it was started.
  let began: number | undefined;
  const fromUs = clock.nowUs();
  const voice = loudspeakerVoice(clock, { play: async () => {} });
  const stopUs = await voice.speak(
    sound,
    (startUs) => {
      began = startUs;
    },
    { turn: {} as Turn, signal: never },
  );
  t.true(began! >= fromUs && began! <= clock.nowUs());
  t.is(stopUs - began!, 50_000);
});
