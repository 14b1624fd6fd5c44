/** The page of a run in a real browser, opened from the disk. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import type { AxeResults } from 'axe-core';
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
  type Request,
} from 'playwright-core';
import { ReportPage } from '../report/page/report-page.ts';
import { ConversationRunner, scenarioOf } from '../runner/recorded-conversation.contract.ts';
import { installedChromium, testWithChromium } from './installed-chromium.contract.ts';
import { pageProgram, urlPath } from './page-program.ts';
import { recordedReport } from './recorded-report.ts';
import { reportCommand } from './report-command.ts';
import { scenarioCatalog } from './scenario-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-page-'));
const runner = await ConversationRunner.open();
let browser: Browser | undefined;
let context: BrowserContext;
let page: Page;
/** What the page did that it must not: messages, errors, requests. */
const complaints: string[] = [];
let recordings: string[] = [];

const stall = `
[[turn]]
say = "How do I make tea?"
reply = "Boil fresh water and pour it over the leaves at once. Let them steep for three or four minutes. Then take the leaves out, and drink the tea while it is hot."
[[turn.disturb]]
kind = "stall"
direction = "down"
duration_ms = 3000
after = { event = "StartAudio", delay_ms = 600 }
`;
const hostile = String.raw`
[[turn]]
say = "Hello."
reply = "Tea <img src=x onerror=alert(1)> </script><script>alert(2)</script> \u202Egnirts\u202C \u001B[31m red \u0007 bell."
[expect]
audible_at_speaker_ms.p95 = "<= 1"
`;

test.before(async () => {
  if (installedChromium === undefined) return;
  const providers = ['elevenlabs', 'openai-stream'];
  const stalled = await runner.run(scenarioOf('stall', stall), { providers });
  const odd = await runner.run(scenarioOf('odd', hostile), { providers });
  recordings = [...stalled, ...odd].map(({ path }) => path);
  const terminal = { print: () => {}, say: () => {}, color: false, width: 100 };
  await reportCommand(terminal, recordings, { html: join(folder, 'report.html') });
  browser = await chromium.launch({
    executablePath: installedChromium,
    args: ['--no-sandbox', '--mute-audio', '--autoplay-policy=no-user-gesture-required'],
    timeout: 20_000,
  });
  context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(15_000);
  page = await context.newPage();
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', noteRequest);
  // What it plays is kept, to be looked at.
  await page.addInitScript(`
    window.made = [];
    const original = URL.createObjectURL.bind(URL);
    URL.createObjectURL = (blob) => {
      window.made.push(blob);
      return original(blob);
    };
  `);
  await page.goto(address);
});

test.after.always(async () => {
  await browser?.close();
  runner.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Of what is shown and of what is not. */
async function words(of: Locator): Promise<string> {
  return (await of.textContent()) ?? '';
}

const address = pathToFileURL(join(folder, 'report.html')).href;
function noteRequest(request: Request): void {
  const url = request.url();
  if (url !== address && !url.startsWith('blob:')) complaints.push(`request: ${url}`);
}

/** The conversation of a scenario and a provider, opened. */
async function opened(scenario: string, provider: string): Promise<Locator> {
  const item = page
    .locator('details.item')
    .filter({ hasText: scenario })
    .filter({ hasText: provider })
    .first();
  if ((await item.getAttribute('open')) === null) await item.locator('summary').first().click();
  await item.locator('.conversation').waitFor();
  return item;
}

async function positionOf(item: Locator): Promise<number> {
  return Number(await item.locator('[role=slider]').getAttribute('aria-valuenow'));
}

/** Waits until the playhead is beyond it. */
async function playedBeyond(item: Locator, ms: number): Promise<void> {
  const slider = await item.locator('[role=slider]').elementHandle();
  await page.waitForFunction(
    ([element, least]) => Number(element.getAttribute('aria-valuenow')) > least,
    [slider as unknown as { getAttribute(name: string): string }, ms] as const,
  );
}

testWithChromium(
  'it opens from the disk and answers who speaks first, who stutters and whose fault it is',
  async (t) => {
    const head = await words(page.locator('header'));
    t.regex(head, /Of 4 conversations, 2 failed, 2 passed/);
    t.regex(
      head,
      /First to speak: elevenlabs, \d\.\d\d s after the user’s last word \(median of 2 answers\)/,
    );
    t.regex(head, /elevenlabs stuttered once, \d+ ms; network. The other one did not/);
  },
);

testWithChromium('the comparison is sorted by any column, and by keys alone', async (t) => {
  const rows = async () => await page.locator('.comparison tbody th').allTextContents();
  t.deepEqual(await rows(), ['elevenlabs', 'openai-stream']);
  const head = page.locator('.comparison th', { hasText: 'heard p50' });
  t.is(await head.getAttribute('aria-sort'), 'ascending');
  await head.getByRole('button').focus();
  await page.keyboard.press('Enter');
  t.is(await head.getAttribute('aria-sort'), 'descending');
  t.deepEqual(await rows(), ['openai-stream', 'elevenlabs']);
  await page.keyboard.press('Enter');
  await page.getByLabel('provider and scenario').check();
  t.is((await rows()).length, 4);
  await page.getByRole('combobox', { name: 'scenario' }).selectOption({ index: 1 });
  t.is((await rows()).length, 2);
  t.is(await page.locator('details.item').count(), 2, 'the conversations are filtered, too');
  await page.getByRole('combobox', { name: 'scenario' }).selectOption({ index: 0 });
});

testWithChromium(
  'without a mouse: opened, sought, played, and on to the next underrun',
  async (t) => {
    const item = page
      .locator('details.item')
      .filter({ hasText: 'stall' })
      .filter({ hasText: 'elevenlabs' })
      .first();
    await item.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    await item.locator('.conversation').waitFor();
    const slider = item.locator('[role=slider]');
    await slider.focus();
    for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight');
    t.is(await positionOf(item), 1000);
    await page.keyboard.press('n');
    t.regex(await words(item.locator('.explained')), /Underrun 1: .*network/s);
    const at = await positionOf(item);
    await page.keyboard.press('Space');
    await playedBeyond(item, at + 100);
    await page.keyboard.press('Space');
    await page.keyboard.press('Home');
    t.is(await positionOf(item), 0);
  },
);

testWithChromium('hostile text is shown as text, its marks visible', async (t) => {
  const item = await opened('odd', 'elevenlabs');
  await item.locator('summary', { hasText: 'What was said' }).click();
  const text = await words(item.locator('td', { hasText: 'onerror' }).first());
  t.is(
    text,
    'Tea <img src=x onerror=alert(1)> </script><script>alert(2)</script> <U+202E>gnirts<U+202C> ␛[31m red ␇ bell.',
  );
  t.is(await page.locator('img').count(), 0);
  t.regex(await words(item), /Expectations: 1 of 1 missed/);
});

testWithChromium('what the user heard is played from where the time axis is clicked', async (t) => {
  const item = await opened('stall', 'elevenlabs');
  const slider = item.locator('[role=slider]');
  const box = (await slider.boundingBox())!;
  const end = Number(await slider.getAttribute('aria-valuemax'));
  await slider.click({ position: { x: box.width * 0.5, y: 60 } });
  t.true(Math.abs((await positionOf(item)) - end / 2) < (2 * end) / box.width);
  await item.getByRole('button', { name: 'Play' }).click();
  await playedBeyond(item, end / 2 + 200);
  await item.getByRole('button', { name: 'Pause' }).click();
  const stopped = await positionOf(item);
  await item.getByLabel('what the provider gave').check();
  t.true(
    Math.abs((await positionOf(item)) - stopped) < 2,
    'another sound goes on at the same place',
  );
});

testWithChromium(
  'what is heard is the speaker file, at its place, as exact as the page says',
  async (t) => {
    const item = await opened('stall', 'elevenlabs');
    const kept = await page.evaluate<string>(`window.made[0].arrayBuffer().then((buffer) => {
      let text = '';
      for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
      return btoa(text);
    })`);
    const played = Buffer.from(kept, 'base64').subarray(44);
    const sound = Int16Array.from({ length: played.length / 2 }, (_, i) =>
      played.readInt16LE(i * 2),
    );
    const path = recordings.find((one) => one.includes('stall--elevenlabs'))!;
    const wav = readFileSync(join(path, 'speaker.wav'));
    const speaker = new Int16Array(
      wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length),
    );
    const boot = readFileSync(join(path, 'trace.jsonl'), 'utf8')
      .split('\n')
      .find((line) => line.includes('"type":"boot"'))!;
    const { speakerStartUs } = JSON.parse(boot) as { speakerStartUs: number };
    const start = Math.round((speakerStartUs / 1000) * 16);
    t.true(sound.slice(0, start).every((sample) => sample === 0));
    const largest = speaker.reduce(
      (most, sample, i) => Math.max(most, Math.abs(sample - (sound[start + i] ?? 0))),
      0,
    );
    t.is(largest, 0);
    t.regex(await words(item), /that of the recording, sample for sample/);
  },
);

testWithChromium('an underrun is explained when it is clicked in the timeline', async (t) => {
  const item = await opened('stall', 'elevenlabs');
  const first = item.locator('.gaps li button').first();
  const atMs = 1000 * Number(/at (\d+\.\d+) s/.exec(await words(first))![1]);
  const slider = item.locator('[role=slider]');
  const box = (await slider.boundingBox())!;
  const end = Number(await slider.getAttribute('aria-valuemax'));
  await slider.click({ position: { x: ((atMs + 20) / end) * box.width, y: 300 } });
  const text = await words(item.locator('.explained'));
  t.regex(text, /Whose fault: network/);
  t.regex(text, /frame \d+ was under way for \d+ ms \(stall\)/);
});

testWithChromium(
  'two providers are compared blind at the same loudness, and the vote is kept',
  async (t) => {
    const blind = page.locator('#blind');
    t.false((await words(blind)).includes('elevenlabs'), 'names are hidden');
    await blind.getByRole('button', { name: 'play A' }).click();
    await blind.getByText('A is playing').waitFor();
    await blind.getByRole('button', { name: 'play B' }).click();
    await blind.getByText('B is playing').waitFor();
    await blind.getByRole('button', { name: 'A is better' }).click();
    await blind.getByText('Pair 2 of 2').waitFor();
    await blind.getByRole('button', { name: 'Show who was preferred' }).click();
    t.regex(await words(blind.locator('.results')), /Preferred in 1 vote/);
    const download = page.waitForEvent('download');
    await blind.getByRole('button', { name: 'Save the votes as JSON' }).click();
    const saved = JSON.parse(readFileSync(await (await download).path(), 'utf8')) as {
      votes: { providers: string[] }[];
    };
    t.deepEqual(
      saved.votes.map(({ providers }) => [...providers].sort()),
      [['elevenlabs', 'openai-stream']],
    );
  },
);

testWithChromium(
  'axe finds nothing, in light and in dark, and nothing sticks out on a narrow screen',
  async (t) => {
    await opened('stall', 'elevenlabs');
    const source = readFileSync(
      createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
      'utf8',
    );
    await page.evaluate(source);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate<AxeResults>('axe.run()');
      t.deepEqual(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
        [],
        colorScheme,
      );
    }
    await page.setViewportSize({ width: 360, height: 780 });
    t.is(await page.evaluate<number>('document.documentElement.scrollWidth'), 360);
    await page.setViewportSize({ width: 1280, height: 900 });
  },
);

testWithChromium(
  'with more sound than a page holds it is played from the recording; one that was cut short says so',
  async (t) => {
    const run = join(folder, 'run');
    const whole = recordings.find((one) => one.includes('stall--elevenlabs'))!;
    cpSync(whole, join(run, 'cells', 'whole'), { recursive: true });
    const trace = readFileSync(join(whole, 'trace.jsonl'), 'utf8');
    mkdirSync(join(run, 'cells', 'cut.partial'));
    writeFileSync(
      join(run, 'cells', 'cut.partial', 'trace.jsonl'),
      trace.slice(0, trace.length / 2),
    );
    const made = new ReportPage([]);
    const { report } = recordedReport(
      run,
      scenarioCatalog([]),
      'linked',
      (place, recorded, { turns }) => made.add(place, recorded, turns),
    );
    const html = made.html(report, {
      program: await pageProgram(),
      folderOf: urlPath,
      redact: (text) => text,
    });
    writeFileSync(join(run, 'report.html'), [...html].join(''));
    const asked: string[] = [];
    page.off('request', noteRequest);
    page.on('request', (request) => void asked.push(request.url()));
    await page.goto(pathToFileURL(join(run, 'report.html')).href);
    t.regex(
      await words(page.locator('header')),
      /Of 2 conversations, 1 could not be judged, 1 passed/,
    );
    const cut = page.locator('details.item').filter({ hasText: 'infra' });
    await cut.locator('summary').first().click();
    await cut.getByText('The recording is partial').waitFor();
    const item = await opened('pass', 'elevenlabs');
    await item.getByLabel('what the server sent').check();
    await item.getByRole('button', { name: 'Play' }).click();
    // The first sentence begins where the speaker began it.
    await playedBeyond(item, 3000);
    t.deepEqual(
      asked.filter((url) => !url.startsWith(pathToFileURL(run).href)),
      [],
    );
    t.true(asked.some((url) => url.endsWith('cells/whole/sent.wav')));
  },
);

testWithChromium('it says nothing on the console and asks for nothing but itself', (t) => {
  t.deepEqual(complaints, []);
});
