import { existsSync, mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { BundleError, packBundle, sha256 } from '../bundle/bundle-file.ts';
import { checkWritable, writeWhole } from '../files/written-file.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { exitCode } from './exit-code.ts';
import { bundledRun } from './recorded-bundle.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface BundleCommandOptions {
  /** Default: `<run>.zip` here. */
  readonly out?: string;
  readonly force?: boolean;
  readonly version: string;
}

/** `bundle`: a run in one file. Returns the exit code. */
export async function bundleCommand(
  terminal: Terminal,
  path: string,
  { out = `${basename(path)}.zip`, force = false, version }: BundleCommandOptions,
): Promise<number> {
  if (!force && existsSync(out)) {
    throw new BundleError('BUNDLE_EXISTS', `${out} is there already.`, 'add --force, or --out');
  }
  mkdirSync(dirname(out), { recursive: true });
  checkWritable(out);
  const { files, notes, repeatable } = await bundledRun(path, {
    catalog: scenarioCatalog(builtInProviders.map(({ name }) => name)),
    version,
    signal: interruptSignal(terminal, 'the bundle is not written.'),
    laboratory: () => openCommandLaboratory(terminal),
  });
  for (const note of notes) terminal.say(note);
  const packed = packBundle(files);
  writeWhole(out, packed);
  terminal.print(out);
  terminal.say(
    `${files.size} files, ${(packed.length / 1024).toFixed(0)} KiB, SHA-256 ${sha256(packed)}. ` +
      `On another machine: echokit-harness ${repeatable > 0 ? 'repro' : 'report'} ${out}`,
  );
  return exitCode.passed;
}
