import test from 'ava';
import { openFfmpeg } from './ffmpeg.ts';
import { installed, testWithFfmpeg } from './installed-ffmpeg.contract.ts';

testWithFfmpeg('it tells its version and passes bytes through', (t) => {
  t.regex(installed!.version, /^ffmpeg version \S+$/);
  const pcm = Buffer.from([1, 2, 3, 4, 255, 127]);
  const args = ['-f', 's16le', '-ar', '8000', '-ac', '1', '-i', 'pipe:0', '-f', 's16le', 'pipe:1'];
  t.deepEqual(installed!.run(args, pcm), pcm);
});

testWithFfmpeg('what it refuses is told with its words and its arguments', (t) => {
  const error = t.throws(
    () => installed!.run(['-i', 'pipe:0', '-f', 'null', '-'], Buffer.from('x')),
    {
      code: 'FFMPEG_FAILED',
    },
  );
  t.regex(error!.message, /exit code 1: .*Invalid data/s);
  t.regex(error!.message, /-i pipe:0 -f null -/);
});

test('a program that is not there or is no ffmpeg counts as missing', (t) => {
  for (const path of ['/nowhere/ffmpeg', process.execPath]) {
    const error = t.throws(() => openFfmpeg(path), { code: 'FFMPEG_MISSING' });
    t.true(error!.message.includes(path));
    t.regex(error!.message, /FFMPEG_PATH/);
  }
});
