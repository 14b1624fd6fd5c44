/** The Chromium of this machine, for tests that look at pages. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import test, { type ImplementationFn } from 'ava';

/** What Debian, other distributions and Google call it. */
const names = ['chromium', 'chromium-browser', 'google-chrome'];

/** Path of the program; undefined: there is none, which has been printed. */
export const installedChromium: string | undefined = found();

/** Declares a test, or a skipped one when there is no Chromium. */
export function testWithChromium(title: string, implementation: ImplementationFn<[]>): void {
  if (installedChromium === undefined) test.skip(title, implementation);
  else test.serial(title, implementation);
}

function found(): string | undefined {
  const { CHROMIUM_PATH: named, PATH = '' } = process.env;
  const candidates = PATH.split(delimiter).flatMap((folder) =>
    names.map((name) => join(folder, name)),
  );
  const path = [...(named === undefined ? [] : [named]), ...candidates].find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (path === undefined) {
    process.stderr.write(
      'Tests of the report page in a browser are skipped: Chromium is not installed (apt-get install chromium, or CHROMIUM_PATH).\n',
    );
  }
  return path;
}
