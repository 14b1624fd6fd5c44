import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { decodeBacktrace, decodedText, findDecoders } from './backtrace-decoder.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-decoder-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const source = join(folder, 'crash.c');
const elf = join(folder, 'crash.elf');
writeFileSync(
  source,
  `static inline __attribute__((always_inline)) int inner(int x) {
  volatile int z = x;
  z *= 3;
  return z;
}
__attribute__((noinline)) int outer(int x) {
  volatile int y = x;
  return inner(y) + 1;
}
int main(void) { return outer(2); }
`,
);

/** A small real program; null with the reason when there is no compiler here. */
const built = ((): { readonly address: number } | string => {
  try {
    execFileSync('gcc', ['-g', '-O1', '-no-pie', '-o', elf, source], { stdio: 'pipe' });
    const symbols = execFileSync('nm', [elf], { encoding: 'utf8' });
    return { address: Number.parseInt(/^([0-9a-f]+) T outer$/m.exec(symbols)![1]!, 16) };
  } catch (error) {
    return `no gcc or nm here: ${(error as Error).message.split('\n')[0]}`;
  }
})();
const decoders = findDecoders(process.env['PATH'] ?? '');

test('a backtrace gets functions and lines from a real ELF file, with every decoder found here', async (t) => {
  if (typeof built === 'string' || decoders.length === 0) {
    t.log(`skipped: ${typeof built === 'string' ? built : 'no addr2line here'}`);
    t.pass();
    return;
  }
  const sha256 = createHash('sha256').update(readFileSync(elf)).digest('hex');
  const frame = (pc: number) => ({ pc, sp: 0 });
  for (const decoder of decoders) {
    const result = await decodeBacktrace({
      elf,
      backtrace: [frame(built.address), frame(0xdead_beef)],
      elfSha256: sha256.slice(0, 9),
      decoders: [decoder],
    });
    if (result.kind !== 'decoded') throw new Error(`${decoder}: ${JSON.stringify(result)}`);
    t.is(result.build, 'same');
    t.is(result.frames[0]?.function, 'outer');
    t.regex(result.frames[0]!.place!, /crash\.c:[67]$/);
    t.deepEqual([result.frames.length, result.frames[1]?.place], [2, null]);
    t.regex(decodedText(result)[0]!, /^#0 0x[0-9a-f]+ outer at .*crash\.c:[67]$/);
  }
});

test('an inlined function is shown with what it was inlined into', async (t) => {
  if (typeof built === 'string' || decoders.length === 0) {
    t.log('skipped: no compiler or no decoder here');
    t.pass();
    return;
  }
  // Somewhere in outer is code of inner.
  const backtrace = Array.from({ length: 48 }, (_, i) => ({ pc: built.address + i, sp: 0 }));
  const result = await decodeBacktrace({ elf, backtrace, elfSha256: undefined, decoders });
  if (result.kind !== 'decoded') throw new Error(JSON.stringify(result));
  const inlined = result.frames.find(({ inlinedInto }) => inlinedInto.length > 0);
  t.is(inlined?.function, 'inner');
  t.is(inlined?.inlinedInto[0]?.function, 'outer');
  t.is(result.build, 'unknown');
  t.regex(decodedText(result)[0]!, /names no build/);
});

test('a file of another build is not decoded: its lines would be wrong', async (t) => {
  writeFileSync(join(folder, 'other.elf'), 'another build');
  const result = await decodeBacktrace({
    elf: join(folder, 'other.elf'),
    backtrace: [{ pc: 1, sp: 0 }],
    elfSha256: '5f2a9c01d...',
    decoders,
  });
  t.is(result.kind, 'other-build');
  const actual = createHash('sha256').update('another build').digest('hex');
  t.true(decodedText(result)[0]!.includes(`5f2a9c01d…, the ELF file is ${actual.slice(0, 9)}…`));
});

test('without a decoder it says how to get one; a missing file and a decoder that fails are told', async (t) => {
  const empty = join(folder, 'empty.elf');
  writeFileSync(empty, '');
  const ask = (options: { elf?: string; decoders?: string[] }) =>
    decodeBacktrace({
      elf: empty,
      backtrace: [{ pc: 1, sp: 0 }],
      elfSha256: '000000000',
      decoders: [],
      ...options,
    });
  t.regex(decodedText(await ask({})).join('\n'), /xtensa-esp32s3-elf-addr2line.*\nhint: .*espup/);
  t.regex(decodedText(await ask({ elf: join(folder, 'none.elf') })).join('\n'), /ENOENT/);
  const broken = join(folder, 'addr2line');
  writeFileSync(broken, '#!/bin/sh\necho "file format not recognized" >&2\nexit 1\n');
  chmodSync(broken, 0o755);
  const result = await ask({ decoders: [broken] });
  t.true(result.kind === 'failed' && result.message.includes('file format not recognized'));
});

test('decoders are found in the folders of a PATH, that of the chip first', (t) => {
  const one = mkdtempSync(join(folder, 'one-'));
  const two = mkdtempSync(join(folder, 'two-'));
  for (const path of [join(one, 'addr2line'), join(two, 'xtensa-esp32s3-elf-addr2line')]) {
    writeFileSync(path, '');
    chmodSync(path, 0o755);
  }
  writeFileSync(join(one, 'llvm-addr2line'), 'not executable');
  t.deepEqual(findDecoders(`${one}:${two}::/nowhere`), [
    join(two, 'xtensa-esp32s3-elf-addr2line'),
    join(one, 'addr2line'),
  ]);
});
