/** What this program is made of, and what of it may reach the network: docs/dependencies.md against the files it speaks of. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const locked = (
  JSON.parse(read('package-lock.json')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  }
).packages;
const manifest = JSON.parse(read('package.json')) as Readonly<
  Record<
    'dependencies' | 'optionalDependencies' | 'devDependencies' | 'peerDependencies',
    Readonly<Record<string, string>>
  >
>;

/** Where Node finds `name` from the package at `from`; the lock file has the tree of folders. */
function resolved(from: string, name: string): string | undefined {
  for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const path = `${base === '' ? '' : `${base}/`}node_modules/${name}`;
    if (locked[path] !== undefined) return path;
    if (base === '') return undefined;
  }
}

/** Packages that come with this one, on some platform. */
function broughtBy(path: string, seen = new Set<string>()): ReadonlySet<string> {
  const { dependencies, optionalDependencies } = locked[path]!;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const found = resolved(path, name);
    if (found === undefined || seen.has(found)) continue;
    seen.add(found);
    broughtBy(found, seen);
  }
  return seen;
}

/** Cells of the rows below a heading of the document. */
function rowsBelow(heading: string): string[][] {
  const [, section = ''] = read('docs/dependencies.md').split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  return [...own.matchAll(/^\| `[^\n]*\|$/gm)].map(([row]) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

test('every direct dependency is in docs/dependencies.md with its version, licence and what it brings, and no other', (t) => {
  const sections = {
    'In the package': { ...manifest.dependencies, ...manifest.optionalDependencies },
    'For work on it': manifest.devDependencies,
  };
  for (const [heading, dependencies] of Object.entries(sections)) {
    const expected = Object.keys(dependencies).map((name) => {
      const path = `node_modules/${name}`;
      const { version = '', license = '' } = locked[path]!;
      return [name, version, license, `${broughtBy(path).size}`];
    });
    const rows = rowsBelow(heading);
    t.deepEqual(rows.map((cells) => cells.slice(0, 4)).sort(), expected.sort());
    for (const [name, , , , reason = '', may = ''] of rows) {
      t.true(reason.length > 10 && may !== '', `${name}: why it is here, and what it may do`);
    }
  }
  t.deepEqual(
    rowsBelow('Only when you install them yourself').map(([name]) => name),
    Object.keys(manifest.peerDependencies),
  );
});

test('every package of the lock file with an install script is listed with the reason why it need not run, and no other', (t) => {
  const withScript = Object.entries(locked)
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
  const rows = rowsBelow('Install scripts');
  t.deepEqual(rows.map(([name]) => name).sort(), withScript.sort());
  for (const [name, script = '', reason = ''] of rows) {
    t.true(script !== '' && reason.length > 20, `${name}: what it does, and why it need not`);
  }
});

test('an installation in a checkout runs no script of any package', (t) => {
  t.regex(read('.npmrc'), /^ignore-scripts=true$/m);
  // With that setting, npm skips these around any command.
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const around = Object.keys(scripts).filter(
    (name) => /^(pre|post)/.test(name) && name !== 'prepublishOnly',
  );
  t.deepEqual(around, []);
  // Publishing needs its script all the same.
  t.regex(scripts['release'] ?? '', /npm publish --ignore-scripts=false/);
});

/** Modules of Node that reach the network, and the only files that may name them, with the reason. */
const opensSockets: Readonly<Record<string, string>> = {
  'harness/network/socket-network.ts': 'the one dialer and listener of sockets',
  'harness/bench/listening-board.ts': 'a bare socket, of which it sees when each byte is there',
  'harness/bench/server-latency.ts': 'a round trip over loopback, to compare with',
};

/** `node:http` is a protocol here: over streams that somebody else has opened. */
const speaksHttp: Readonly<Record<string, string>> = {
  'adapters/platforms/openai.ts': 'types',
  'adapters/text-optimization/text-optimizer.ts': 'requests over a dialed stream (agent)',
  'adapters/transport/http-connections.ts': 'the agent that has one dialed stream',
  'adapters/transport/http-speech.ts': 'requests over a dialed stream (agent)',
  'adapters/transport/provider-failure.ts': 'types',
  'adapters/transport/websocket.ts': 'types',
  'adapters/transport/websocket-connections.ts': 'types',
  'harness/server/adapter-server.ts': 'answers on streams that it is given',
  'harness/server/front-door.ts': 'types, and names of status codes',
  'harness/server/service-call.ts': 'requests over a dialed stream (agent)',
  'harness/stand-ins/elevenlabs-protocol.ts': 'types',
  'harness/stand-ins/provider-server.ts': 'answers on streams that it is given',
  'harness/stand-ins/test-client.ts': 'requests over a dialed stream (createConnection)',
  'harness/stand-ins/wire-fault-edit.ts': 'names of status codes',
  'harness/stand-ins/wordless-faults.ts': 'names of status codes',
};

/** Programs of this machine that are started, none of which is there for the network. */
const startsPrograms: Readonly<Record<string, string>> = {
  'harness/audio-files/ffmpeg.ts': 'ffmpeg',
  'harness/bench/boards.ts': 'this program',
  'harness/bench/console-arrival.ts': 'socat and this Node',
  'harness/bench/start-up.ts': 'this program',
  'harness/cli/bench-command.ts': 'git, and programs that tell of this machine',
  'harness/cli/bench-processes.ts': 'the ends of a measurement, each in a process of its own',
  'harness/cli/board-on-desk.ts': 'the program that plays or records sound',
  'harness/cli/explore-processes.ts': 'this program',
  'harness/cli/fuzz-decoders.ts': 'this program',
  'harness/cli/keep-fault-matrix.ts': 'this program',
  'harness/cli/load-processes.ts': 'this program',
  'harness/cli/replay-hash.ts': 'this program',
  'harness/runner/room-program.ts': 'the program that records a microphone',
  'harness/runner/sound-program.ts': 'the program that plays a sound',
  'harness/serial/backtrace-decoder.ts': 'addr2line of the firmware',
  'harness/stand-ins/mandarin-engine.ts': 'this Node, for the engine',
  'harness/virtual-board/pty-link.ts': 'socat',
};

function sources(): string[] {
  return ['adapters', 'firmware-protocol', 'harness'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => !name.includes('node_modules') && !name.includes('official-clients'))
      .filter((name) => name.endsWith('.ts') && !/\.(test|contract|d)\.ts$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
}

function filesWith(pattern: RegExp): string[] {
  return sources()
    .filter((path) => pattern.test(read(path)))
    .sort();
}

test('only the listed modules reach the network or start programs: everything else is given its streams', (t) => {
  t.true(sources().length > 400, 'the scan found the sources');
  t.deepEqual(
    filesWith(/['"]node:(net|tls|https|http2|dgram|dns)(\/|['"])/),
    Object.keys(opensSockets).sort(),
  );
  t.deepEqual(filesWith(/['"]node:http['"]/), Object.keys(speaksHttp).sort());
  t.deepEqual(filesWith(/['"]node:child_process['"]/), Object.keys(startsPrograms).sort());
});

test('nothing opens a connection past the dialer: no fetch, and every WebSocket and request has its stream', (t) => {
  const calls = /(?<!\bUse |[\w.])(fetch\(|EventSource\b|XMLHttpRequest\b|sendBeacon\b)/;
  t.deepEqual(
    filesWith(calls).filter((path) =>
      read(path)
        .split('\n')
        .some((line) => calls.test(line) && !/Please use fetch\(\)/.test(line)),
    ),
    [],
  );
  for (const path of filesWith(/new WebSocket\(/)) {
    const [, ...made] = read(path).split('new WebSocket(');
    for (const call of made) {
      t.regex(call.slice(0, 400), /createConnection/, `${path}: over which stream?`);
    }
  }
  for (const path of filesWith(/\b(httpRequest|http\.request)\(/)) {
    const [, ...made] = read(path).split(/\b(?:httpRequest|http\.request)\(/);
    for (const call of made) {
      t.regex(call.slice(0, 400), /\b(agent|createConnection)\b/, `${path}: over which stream?`);
    }
  }
});
